// cuGetProcAddress: functions by name, version and default-stream flag.
#include <dlfcn.h>

#include "on_device.h"

using namespace conformance;

namespace {

class ProcAddress : public OnDevice {
 protected:
  static void* ask(const char* name, int version,
                   cuuint64_t flags = CU_GET_PROC_ADDRESS_LEGACY_STREAM) {
    void* function = nullptr;
    CUdriverProcAddressQueryResult status{};
    EXPECT_EQ(cuGetProcAddress(name, &function, version, flags, &status), CUDA_SUCCESS) << name;
    return function;
  }
  static void* exported(const char* name) {
    static void* const library = dlopen("libcuda.so.1", RTLD_NOW);
    return dlsym(library, name);
  }
};

TEST_F(ProcAddress, GivesTheExportedFunction) {
  EXPECT_EQ(ask("cuMemAlloc", 3020), exported("cuMemAlloc_v2"));
  EXPECT_EQ(ask("cuStreamCreate", 2000), exported("cuStreamCreate"));
}

TEST_F(ProcAddress, GivesTheVariantOfTheVersion) {
  // cuda.h, cuGetProcAddress: "the function pointer to the corresponding versioned function"
  EXPECT_EQ(ask("cuStreamBeginCapture", 10000), exported("cuStreamBeginCapture"));
  EXPECT_EQ(ask("cuStreamBeginCapture", 10010), exported("cuStreamBeginCapture_v2"));
}

TEST_F(ProcAddress, ANewerVersionStillGivesTheVariantBefore) {
  EXPECT_EQ(ask("cuStreamBeginCapture", 12000), exported("cuStreamBeginCapture_v2"));
}

TEST_F(ProcAddress, GivesPerThreadVariantsWhenAskedTo) {
  EXPECT_EQ(ask("cuMemcpyHtoD", 7000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM),
            exported("cuMemcpyHtoD_v2_ptds"));
  EXPECT_EQ(ask("cuLaunchKernel", 7000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM),
            exported("cuLaunchKernel_ptsz"));
  EXPECT_EQ(ask("cuLaunchKernel", 7000, CU_GET_PROC_ADDRESS_LEGACY_STREAM),
            exported("cuLaunchKernel"));
}

TEST_F(ProcAddress, WithoutAPerThreadVariantGivesTheLegacyOne) {
  // cuda.h: "If a per-thread version is not found, the API will return the legacy version"
  EXPECT_EQ(ask("cuMemAlloc", 7000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM),
            exported("cuMemAlloc_v2"));
}

TEST_F(ProcAddress, AnUnknownNameGivesNull) {
  // cuda.h: "set the returned pfn to NULL if … the driver symbol is invalid"
  void* function = reinterpret_cast<void*>(1);
  CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SUCCESS;
  cuGetProcAddress("cuNoSuchFunction", &function, 12000, 0, &status);
  EXPECT_EQ(function, nullptr);
  EXPECT_EQ(status, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
}

TEST_F(ProcAddress, AVersionBeforeTheFunctionGivesNull) {
  void* function = reinterpret_cast<void*>(1);
  CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SUCCESS;
  cuGetProcAddress("cuMemCreate", &function, 9000, 0, &status);
  EXPECT_EQ(function, nullptr);
  EXPECT_EQ(status, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
}

TEST_F(ProcAddress, TheStatusMayBeLeftOut) {
  void* function = nullptr;
  OK(cuGetProcAddress("cuInit", &function, 2000, 0, nullptr));
  EXPECT_EQ(function, exported("cuInit"));
}

TEST_F(ProcAddress, GivesItself) {
  EXPECT_EQ(ask("cuGetProcAddress", 11030), exported("cuGetProcAddress"));
  EXPECT_EQ(ask("cuGetProcAddress", 12000), exported("cuGetProcAddress_v2"));
}

TEST_F(ProcAddress, NullArgumentsAreInvalid) {
  void* function = nullptr;
  EXPECT_EQ(cuGetProcAddress(nullptr, &function, 12000, 0, nullptr), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuGetProcAddress("cuInit", nullptr, 12000, 0, nullptr), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(ProcAddress, AVersionBeyondTheDriverIsInvalid) {
  // cuda.h, cuGetProcAddress: "If the specified CUDA version is greater than the driver version,
  // the API will return CUDA_ERROR_INVALID_VALUE."
  int version = 0;
  void* function = nullptr;
  OK(cuDriverGetVersion(&version));
  EXPECT_EQ(cuGetProcAddress("cuInit", &function, version + 1000, 0, nullptr),
            CUDA_ERROR_INVALID_VALUE);
}

}  // namespace
