// Initialisation, devices, versions and error texts.
#include <cstring>

#include "on_device.h"

using namespace conformance;

namespace {

using Device = OnDevice;

TEST_F(Device, InitWithFlagsIsInvalid) {
  EXPECT_EQ(cuInit(1),
            CUDA_ERROR_INVALID_VALUE);  // cuda.h, cuInit: "the Flags parameter must be 0"
}

TEST_F(Device, InitMayBeRepeated) {
  EXPECT_EQ(cuInit(0), CUDA_SUCCESS);
}

TEST_F(Device, CallsBeforeInitAreRefused) {
  EXPECT_TRUE(passes_alone("BeforeInit"));
}

TEST_F(Device, DriverVersionCoversThisHeader) {
  int version = 0;
  OK(cuDriverGetVersion(&version));
  EXPECT_GE(version, 12000);
  EXPECT_EQ(cuDriverGetVersion(nullptr), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Device, CountIsAtLeastOneAndOrdinalsBeyondItAreInvalid) {
  int count = 0;
  OK(cuDeviceGetCount(&count));
  EXPECT_GE(count, 1);
  CUdevice device = 0;
  EXPECT_EQ(cuDeviceGet(&device, count), CUDA_ERROR_INVALID_DEVICE);
  EXPECT_EQ(cuDeviceGet(&device, -1), CUDA_ERROR_INVALID_DEVICE);
}

TEST_F(Device, NameIsTerminatedWithinTheLengthGiven) {
  // cuda.h, cuDeviceGetName: "len specifies the maximum length of the string that may be returned"
  char name[5];
  std::memset(name, 'x', sizeof name);
  OK(cuDeviceGetName(name, sizeof name, device_));
  EXPECT_NE(std::memchr(name, 0, sizeof name), nullptr);
}

TEST_F(Device, TotalMemoryIsTheSameInBothQueries) {
  std::size_t total = 0, free_bytes = 0, from_info = 0;
  OK(cuDeviceTotalMem(&total, device_));
  OK(cuMemGetInfo(&free_bytes, &from_info));
  EXPECT_GT(total, 0u);
  EXPECT_LE(free_bytes, from_info);
  EXPECT_LE(from_info, total);
}

TEST_F(Device, SaysWhetherContextsAreSharedViaMps) {
  // cuda.h, CU_DEVICE_ATTRIBUTE_MPS_ENABLED: "Indicates if contexts created on this device will be
  // shared via MPS"
  int shared = -1;
  OK(cuDeviceGetAttribute(&shared, CU_DEVICE_ATTRIBUTE_MPS_ENABLED, device_));
  EXPECT_TRUE(shared == 0 || shared == 1) << shared;
}

TEST_F(Device, HasVirtualMemoryManagementAndUnifiedAddresses) {
  int value = 0;
  OK(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED,
                          device_));
  EXPECT_EQ(value, 1);
  OK(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, device_));
  EXPECT_EQ(value, 1);
}

TEST_F(Device, AttributesOfNoMeaningAreInvalid) {
  int value = 0;
  EXPECT_EQ(cuDeviceGetAttribute(&value, static_cast<CUdevice_attribute>(0), device_),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuDeviceGetAttribute(nullptr, CU_DEVICE_ATTRIBUTE_WARP_SIZE, device_),
            CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Device, WarpsHave32Threads) {
  int value = 0;
  OK(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, device_));
  EXPECT_EQ(value, 32);
}

TEST_F(Device, ErrorsHaveNamesAndTexts) {
  const char* text = nullptr;
  OK(cuGetErrorName(CUDA_ERROR_OUT_OF_MEMORY, &text));
  EXPECT_STREQ(text, "CUDA_ERROR_OUT_OF_MEMORY");
  OK(cuGetErrorString(CUDA_ERROR_OUT_OF_MEMORY, &text));
  EXPECT_STREQ(text, "out of memory");
}

TEST_F(Device, AnUnknownErrorGivesNullAndInvalidValue) {
  // cuda.h, cuGetErrorName: "If the error code is not recognized, CUDA_ERROR_INVALID_VALUE will be
  // returned and *pStr will be set to the NULL address."
  const char* text = "untouched";
  EXPECT_EQ(cuGetErrorName(static_cast<CUresult>(123456), &text), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(text, nullptr);
}

TEST(AloneBeforeInit, DISABLED_BeforeInit) {
  int count = 0;
  CUdevice device = 0;
  std::size_t free_bytes = 0, total = 0;
  EXPECT_EQ(cuDeviceGetCount(&count), CUDA_ERROR_NOT_INITIALIZED);
  EXPECT_EQ(cuDeviceGet(&device, 0), CUDA_ERROR_NOT_INITIALIZED);
  EXPECT_EQ(cuMemGetInfo(&free_bytes, &total), CUDA_ERROR_NOT_INITIALIZED);
}

}  // namespace
