// What the driver tells of a pointer: cuMemAlloc's memory, page-locked host memory, and mapped
// memory.
#include "virtual_memory.h"

using namespace conformance;

namespace {

class Pointer : public VirtualMemory {
 protected:
  template <typename T>
  T attribute(CUpointer_attribute which, CUdeviceptr address) {
    T value{};
    EXPECT_EQ(cuPointerGetAttribute(&value, which, address), CUDA_SUCCESS) << which;
    return value;
  }
  // The header says "a boolean" and no width: room for any.
  bool is(CUpointer_attribute which, CUdeviceptr address) {
    return attribute<unsigned long long>(which, address) != 0;
  }
  // By the plural form, which gives NULL where there is no context.
  CUcontext context_of(CUdeviceptr address) {
    CUcontext context = reinterpret_cast<CUcontext>(1);
    CUpointer_attribute which[] = {CU_POINTER_ATTRIBUTE_CONTEXT};
    void* answers[] = {&context};
    EXPECT_EQ(cuPointerGetAttributes(1, which, answers, address), CUDA_SUCCESS);
    return context;
  }
};

TEST_F(Pointer, OfDeviceMemorySaysDevice) {
  const CUdeviceptr address = allocate(4 * kMiB);
  EXPECT_EQ(attribute<unsigned>(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address + 5),
            CU_MEMORYTYPE_DEVICE);
  EXPECT_EQ(attribute<int>(CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address), device_);
  EXPECT_EQ(attribute<CUcontext>(CU_POINTER_ATTRIBUTE_CONTEXT, address), context_);
  EXPECT_FALSE(is(CU_POINTER_ATTRIBUTE_IS_MANAGED, address));
}

TEST_F(Pointer, OfDeviceMemoryKnowsItsRange) {
  const CUdeviceptr address = allocate(4 * kMiB);
  const CUdeviceptr inside = address + 3 * kMiB;
  EXPECT_EQ(attribute<CUdeviceptr>(CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, inside), address);
  EXPECT_EQ(attribute<std::size_t>(CU_POINTER_ATTRIBUTE_RANGE_SIZE, inside), 4 * kMiB);
}

TEST_F(Pointer, OfDeviceMemoryHasNoHostAddress) {
  // cuda.h, cuPointerGetAttribute: "If there exists no host pointer value … then
  // CUDA_ERROR_INVALID_VALUE is returned"
  void* host = nullptr;
  EXPECT_EQ(cuPointerGetAttribute(&host, CU_POINTER_ATTRIBUTE_HOST_POINTER, allocate(kMiB)),
            CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Pointer, BufferIdsAreUnique) {
  // cuda.h: "A process-wide unique ID for an allocated memory region"
  const auto first = attribute<unsigned long long>(CU_POINTER_ATTRIBUTE_BUFFER_ID, allocate(kMiB));
  const auto second = attribute<unsigned long long>(CU_POINTER_ATTRIBUTE_BUFFER_ID, allocate(kMiB));
  EXPECT_NE(first, second);
}

TEST_F(Pointer, OfPageLockedMemorySaysHost) {
  void* host = nullptr;
  OK(cuMemAllocHost(&host, kMiB));
  const auto address = reinterpret_cast<CUdeviceptr>(host);
  EXPECT_EQ(attribute<unsigned>(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address), CU_MEMORYTYPE_HOST);
  EXPECT_EQ(attribute<void*>(CU_POINTER_ATTRIBUTE_HOST_POINTER, address), host);
  OK(cuMemFreeHost(host));
}

TEST_F(Pointer, OfOrdinaryMemoryIsUnknown) {
  int local = 0;
  unsigned type = 0;
  EXPECT_EQ(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                  reinterpret_cast<CUdeviceptr>(&local)),
            CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Pointer, ThePluralFormAnswersForUnknownPointersToo) {
  // cuda.h, cuPointerGetAttributes: "Unlike cuPointerGetAttribute, this function will not return an
  // error when the ptr encountered is not a valid CUDA pointer. Instead, the attributes are
  // assigned default NULL values"
  int local = 0;
  unsigned type = 99;
  CUcontext context = reinterpret_cast<CUcontext>(1);
  CUpointer_attribute which[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_CONTEXT};
  void* answers[] = {&type, &context};
  OK(cuPointerGetAttributes(2, which, answers, reinterpret_cast<CUdeviceptr>(&local)));
  EXPECT_EQ(type, 0u);
  EXPECT_EQ(context, nullptr);
}

TEST_F(Pointer, ThePluralFormAgreesWithTheSingle) {
  const CUdeviceptr address = allocate(kMiB);
  unsigned type = 0;
  int ordinal = -1;
  CUdeviceptr start = 0;
  CUpointer_attribute which[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                 CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
                                 CU_POINTER_ATTRIBUTE_RANGE_START_ADDR};
  void* answers[] = {&type, &ordinal, &start};
  OK(cuPointerGetAttributes(3, which, answers, address + 100));
  EXPECT_EQ(type, static_cast<unsigned>(CU_MEMORYTYPE_DEVICE));
  EXPECT_EQ(ordinal, device_);
  EXPECT_EQ(start, address);
}

TEST_F(Pointer, OfMappedDeviceMemorySaysDeviceAndNamesNoContext) {
  // openucx/ucx, src/uct/cuda: memory of cuMemCreate has no context.
  const CUdeviceptr address = ready(1);
  EXPECT_EQ(attribute<unsigned>(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address), CU_MEMORYTYPE_DEVICE);
  EXPECT_EQ(context_of(address), nullptr);
  EXPECT_TRUE(is(CU_POINTER_ATTRIBUTE_MAPPED, address));
}

TEST_F(Pointer, TheRangeOfMappedMemoryIsItsReservation) {
  // cuda.h, cuPointerGetAttribute: "not necessarily the size of the mapped region, but the size of
  // the mappable address range"
  const CUdeviceptr address = reserve(4);
  map(address, create(1), 1);
  OK(give_access(address, 1));
  EXPECT_EQ(attribute<CUdeviceptr>(CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, address), address);
  EXPECT_EQ(attribute<std::size_t>(CU_POINTER_ATTRIBUTE_RANGE_SIZE, address), 4 * unit_);
}

TEST_F(Pointer, TheAddressRangeOfMappedMemoryIsOneMapping) {
  // kvcache-ai/Mooncake#3538 and openucx/ucx#11461 registered the first chunk only for this reason.
  const CUdeviceptr address = reserve(2);
  map(address, create(1), 1);
  map(address + unit_, create(1), 1);
  OK(give_access(address, 2));
  CUdeviceptr base = 0;
  std::size_t size = 0;
  OK(cuMemGetAddressRange(&base, &size, address + unit_));
  EXPECT_EQ(base, address + unit_);
  EXPECT_EQ(size, unit_);
}

TEST_F(Pointer, MappedMemoryCannotBeSharedTheOldWay) {
  // vllm-project/vllm#42609: legacy IPC refuses memory of cuMemCreate.
  EXPECT_FALSE(is(CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE, ready(1)));
  EXPECT_TRUE(is(CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE, allocate(4 * kMiB)));
}

TEST_F(Pointer, OfMappedHostMemorySaysHost) {
  // open-mpi/ompi#12751: memory located on the host reports CU_MEMORYTYPE_HOST.
  CUmemGenericAllocationHandle handle = 0;
  const CUmemAllocationProp properties = on_host();
  if (cuMemCreate(&handle, unit_, &properties, 0) != CUDA_SUCCESS) {
    GTEST_SKIP() << "this driver makes no HOST_NUMA memory";
  }
  handles_.push_back(handle);
  const CUdeviceptr address = reserve(1);
  map(address, handle, 1);
  OK(give_access(address, 1));
  EXPECT_EQ(attribute<unsigned>(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address), CU_MEMORYTYPE_HOST);
}

TEST_F(Pointer, ReservedAddressesAreNotMapped) {
  // cuda.h, cuPointerGetAttribute: MAPPED tells "if this pointer is in a valid address range that
  // is mapped to a backing allocation". The plural form, as in NVIDIA/DALI,
  // dali/core/mm/cu_vm_test.cc.
  const CUdeviceptr address = reserve(2);
  CUdeviceptr start = 0;
  std::size_t size = 0;
  unsigned long long mapped = 0;
  CUpointer_attribute which[] = {CU_POINTER_ATTRIBUTE_RANGE_START_ADDR,
                                 CU_POINTER_ATTRIBUTE_RANGE_SIZE, CU_POINTER_ATTRIBUTE_MAPPED};
  void* answers[] = {&start, &size, &mapped};
  OK(cuPointerGetAttributes(3, which, answers, address + 100));
  EXPECT_EQ(start, address);
  EXPECT_EQ(size, 2 * unit_);
  EXPECT_EQ(mapped, 0u);
}

TEST_F(Pointer, BufferIdsAreNotReused) {
  // cuda.h, cuPointerGetAttribute: "Subsequent allocations do not reuse IDs"
  CUdeviceptr address = 0;
  OK(cuMemAlloc(&address, 4 * kMiB));
  const auto first = attribute<unsigned long long>(CU_POINTER_ATTRIBUTE_BUFFER_ID, address);
  OK(cuMemFree(address));
  const auto second =
      attribute<unsigned long long>(CU_POINTER_ATTRIBUTE_BUFFER_ID, allocate(4 * kMiB));
  EXPECT_NE(first, second);
}

TEST_F(Pointer, DeviceAddressesAreThemselves) {
  // cuda.h, cuPointerGetAttribute: "the value returned in *data will equal the input value ptr"
  const CUdeviceptr address = allocate(kMiB) + 12;
  EXPECT_EQ(attribute<CUdeviceptr>(CU_POINTER_ATTRIBUTE_DEVICE_POINTER, address), address);
}

TEST_F(Pointer, MappedMemoryTellsHowItMayBeExported) {
  // cuda.h, cuPointerGetAttribute: "a bitmask of the allowed handle types for an allocation"
  int supported = 0;
  OK(cuDeviceGetAttribute(
      &supported, CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED, device_));
  if (supported == 0) GTEST_SKIP() << "this device exports no file descriptors";
  CUmemAllocationProp properties = on_device();
  properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  const CUdeviceptr exportable = reserve(1), plain = reserve(1);
  map(exportable, create(1, properties), 1);
  map(plain, create(1), 1);
  OK(give_access(exportable, 1));
  OK(give_access(plain, 1));
  const auto handles = [&](CUdeviceptr address) {
    return attribute<unsigned long long>(CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES, address);
  };
  EXPECT_EQ(handles(exportable) & CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
            static_cast<unsigned>(CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
  EXPECT_EQ(handles(plain), 0u);
}

}  // namespace
