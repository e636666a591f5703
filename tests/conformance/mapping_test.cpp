// Virtual memory management: reserving, creating, mapping, access, and what is refused.
#include "virtual_memory.h"

using namespace conformance;

namespace {

using Mapping = VirtualMemory;

TEST_F(Mapping, GranularityIsAPowerOfTwo) {
  EXPECT_GE(unit_, std::size_t{65536});
  EXPECT_EQ(unit_ & (unit_ - 1), 0u);
}

TEST_F(Mapping, ReservingTakesNoMemory) {
  std::size_t before = 0, after = 0, total = 0;
  OK(cuMemGetInfo(&before, &total));
  reserve(4096);
  OK(cuMemGetInfo(&after, &total));
  EXPECT_LT(before, after + 64 * kMiB);  // of 4096 units; page tables may take some
}

TEST_F(Mapping, ReservationsAreAlignedAsAsked) {
  CUdeviceptr address = 0;
  OK(cuMemAddressReserve(&address, unit_, 64 * unit_, 0, 0));
  EXPECT_EQ(address % (64 * unit_), 0u);
  OK(cuMemAddressFree(address, unit_));
}

TEST_F(Mapping, ReservingNothingOrWithFlagsIsInvalid) {
  CUdeviceptr address = 0;
  EXPECT_EQ(cuMemAddressReserve(&address, 0, 0, 0, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuMemAddressReserve(&address, unit_, 0, 0, 1), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Mapping, ReservingTakesAHint) {
  // cuda.h, cuMemAddressReserve: "treats it as a hint about where to place the reservation", so
  // what comes back may be elsewhere.
  CUdeviceptr first = 0, second = 0;
  OK(cuMemAddressReserve(&first, 8 * unit_, 0, 0, 0));
  OK(cuMemAddressFree(first, 8 * unit_));
  OK(cuMemAddressReserve(&second, 8 * unit_, 0, first, 0));
  EXPECT_NE(second, 0u);
  OK(cuMemAddressFree(second, 8 * unit_));
}

TEST_F(Mapping, AReservationIsFreedWholeAndOnce) {
  // cuda.h, cuMemAddressFree: "The size must match what was given to memAddressReserve"
  CUdeviceptr address = 0;
  OK(cuMemAddressReserve(&address, 4 * unit_, 0, 0, 0));
  EXPECT_EQ(cuMemAddressFree(address, 2 * unit_), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuMemAddressFree(address + unit_, 3 * unit_), CUDA_ERROR_INVALID_VALUE);
  OK(cuMemAddressFree(address, 4 * unit_));
  EXPECT_EQ(cuMemAddressFree(address, 4 * unit_), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Mapping, CreatingWantsAMultipleOfTheGranularity) {
  // cuda.h, cuMemCreate: "must be a multiple of the the value given via
  // cuMemGetAllocationGranularity"
  CUmemGenericAllocationHandle handle = 0;
  const CUmemAllocationProp properties = on_device();
  EXPECT_EQ(cuMemCreate(&handle, unit_ / 2, &properties, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuMemCreate(&handle, 0, &properties, 0), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Mapping, CreatingOnTheCurrentNumaNodeIsInvalid) {
  // cuda.h, cuMemCreate: "CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT … will result in
  // CUDA_ERROR_INVALID_VALUE"
  CUmemGenericAllocationHandle handle = 0;
  CUmemAllocationProp properties = on_device();
  properties.location = {CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT, 0};
  EXPECT_EQ(cuMemCreate(&handle, unit_, &properties, 0), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Mapping, CreatingMoreThanThereIsIsOutOfMemory) {
  CUmemGenericAllocationHandle handle = 0;
  std::size_t total = 0;
  OK(cuDeviceTotalMem(&total, device_));
  const CUmemAllocationProp properties = on_device();
  EXPECT_EQ(cuMemCreate(&handle, (total / unit_ + 1) * unit_, &properties, 0),
            CUDA_ERROR_OUT_OF_MEMORY);
}

TEST_F(Mapping, MappedMemoryHoldsWhatKernelsWrite) {
  const CUdeviceptr address = ready(2);
  OK(launch(kernel("fill"), words(2), nullptr, address, 77u, words(2)));
  EXPECT_EQ(read(address, words(2)), Words(words(2), 77u));
}

TEST_F(Mapping, TheOffsetMustBeZero) {
  // cuda.h, cuMemMap: "Note: currently must be zero."
  const CUdeviceptr address = reserve(2);
  EXPECT_EQ(cuMemMap(address, unit_, unit_, create(2), 0), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Mapping, AMappedRangeCannotBeMappedOver) {
  // cuda.h, cuMemMap: "can only create mappings on VA range reservations that are not currently
  // mapped"
  const CUdeviceptr address = ready(2);
  EXPECT_EQ(cuMemMap(address, 2 * unit_, 0, create(2), 0), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Mapping, AddressesThatWereNotReservedCannotBeMapped) {
  const CUdeviceptr address = reserve(1);
  const auto handle = create(2);
  EXPECT_EQ(cuMemMap(address, 2 * unit_, 0, handle, 0), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Mapping, PartOfAMappingCannotBeUnmapped) {
  // cuda.h, cuMemUnmap: "cannot unmap a sub-range of an address range mapped by cuMemCreate /
  // cuMemMap"
  const CUdeviceptr address = ready(2);
  EXPECT_EQ(cuMemUnmap(address, unit_), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuMemUnmap(address + unit_, unit_), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Mapping, SeveralWholeMappingsUnmapInOneCall) {
  // ovg-project/kvcached, csrc/ftensor.cpp, unmaps a tensor of many pages at once.
  const CUdeviceptr address = reserve(3);
  for (std::size_t i = 0; i < 3; ++i) OK(cuMemMap(address + i * unit_, unit_, 0, create(1), 0));
  EXPECT_EQ(cuMemUnmap(address, 3 * unit_), CUDA_SUCCESS);
}

TEST_F(Mapping, ARangeWithAHoleCannotBeUnmapped) {
  // pytorch/pytorch#188008: cuMemUnmap fails if any slot of the range is not mapped.
  const CUdeviceptr address = reserve(3);
  map(address, create(1), 1);
  map(address + 2 * unit_, create(1), 1);
  EXPECT_EQ(cuMemUnmap(address, 3 * unit_), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Mapping, AMappedReservationCannotBeFreed) {
  const CUdeviceptr address = ready(1);
  EXPECT_EQ(cuMemAddressFree(address, unit_), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Mapping, AccessWantsAFullyMappedRange) {
  // cuda.h, cuMemSetAccess: "The range must be a fully mapped address range"
  const CUdeviceptr address = reserve(2);
  map(address, create(1), 1);
  EXPECT_EQ(give_access(address, 2), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(give_access(address + unit_, 1), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Mapping, OneCallGivesAccessToManyMappings) {
  const CUdeviceptr address = reserve(4);
  for (std::size_t i = 0; i < 4; ++i) map(address + i * unit_, create(1), 1);
  OK(give_access(address, 4));
  OK(launch(kernel("fill"), words(4), nullptr, address, 3u, words(4)));
  EXPECT_EQ(read(address, words(4)), Words(words(4), 3u));
}

TEST_F(Mapping, StartsWithoutAccess) {
  // cuda.h, cuMemUnmap: "all mappings start with no accessibility setup"
  const CUdeviceptr address = reserve(1);
  map(address, create(1), 1);
  const CUmemLocation here{CU_MEM_LOCATION_TYPE_DEVICE, device_};
  unsigned long long flags = 99;
  OK(cuMemGetAccess(&flags, &here, address));
  EXPECT_EQ(flags, static_cast<unsigned long long>(CU_MEM_ACCESS_FLAGS_PROT_NONE));
  OK(give_access(address, 1));
  OK(cuMemGetAccess(&flags, &here, address));
  EXPECT_EQ(flags, static_cast<unsigned long long>(CU_MEM_ACCESS_FLAGS_PROT_READWRITE));
}

TEST_F(Mapping, HostAccessIsNotForDeviceMemory) {
  // cuda.h, cuMemSetAccess: "Users cannot specify CU_MEM_LOCATION_TYPE_HOST_NUMA accessibility for
  // allocations created on with other location types."
  const CUdeviceptr address = reserve(1);
  map(address, create(1), 1);
  const CUmemAccessDesc access{{CU_MEM_LOCATION_TYPE_HOST_NUMA, 0},
                               CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  EXPECT_NE(cuMemSetAccess(address, unit_, &access, 1), CUDA_SUCCESS);
}

TEST_F(Mapping, HandlesTellTheirProperties) {
  CUmemAllocationProp properties{};
  OK(cuMemGetAllocationPropertiesFromHandle(&properties, create(1)));
  EXPECT_EQ(properties.type, CU_MEM_ALLOCATION_TYPE_PINNED);
  EXPECT_EQ(properties.location.type, CU_MEM_LOCATION_TYPE_DEVICE);
  EXPECT_EQ(properties.location.id, device_);
}

TEST_F(Mapping, ARetainedHandleIsTheMappedOne) {
  // cuda.h, cuMemRetainAllocationHandle: "The returned handle must be released with corresponding
  // number of calls to cuMemRelease."
  const CUdeviceptr address = reserve(1);
  const auto handle = create(1);
  map(address, handle, 1);
  CUmemGenericAllocationHandle retained = 0;
  OK(cuMemRetainAllocationHandle(&retained, reinterpret_cast<void*>(address)));
  EXPECT_EQ(retained, handle);
  EXPECT_EQ(cuMemRelease(retained), CUDA_SUCCESS);
}

TEST_F(Mapping, NothingIsRetainedWhereNothingIsMapped) {
  CUmemGenericAllocationHandle retained = 0;
  EXPECT_EQ(cuMemRetainAllocationHandle(&retained, reinterpret_cast<void*>(reserve(1))),
            CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Mapping, MemoryOfTheWholeHostCannotBeExported) {
  // cuda.h, cuMemCreate: "HOST allocations are not IPC capable and … must be 0,
  // any other value will result in CUDA_ERROR_INVALID_VALUE"
  CUmemGenericAllocationHandle handle = 0;
  CUmemAllocationProp properties = on_device();
  properties.location = {CU_MEM_LOCATION_TYPE_HOST, 0};
  properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  EXPECT_EQ(cuMemCreate(&handle, unit_, &properties, 0), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Mapping, ANewMappingForgetsTheAccessOfTheOld) {
  // cuda.h, cuMemUnmap: "Any new mapping to this virtual address will need to have access granted"
  const CUdeviceptr address = ready(1);
  unmap(address);
  map(address, create(1), 1);
  const CUmemLocation here{CU_MEM_LOCATION_TYPE_DEVICE, device_};
  unsigned long long flags = 99;
  OK(cuMemGetAccess(&flags, &here, address));
  EXPECT_EQ(flags, static_cast<unsigned long long>(CU_MEM_ACCESS_FLAGS_PROT_NONE));
}

TEST_F(Mapping, ARetainedHandleKeepsTheMemory) {
  // cuda.h, cuMemRetainAllocationHandle: "addr, can be any address in a range previously mapped"
  const CUdeviceptr address = ready(1), other = reserve(1);
  OK(launch(kernel("fill"), words(1), nullptr, address, 8u, words(1)));
  OK(cuCtxSynchronize());
  CUmemGenericAllocationHandle retained = 0;
  OK(cuMemRetainAllocationHandle(&retained, reinterpret_cast<void*>(address + unit_ / 2)));
  OK(cuMemRelease(handles_.back()));
  handles_.back() = retained;
  unmap(address);
  map(other, retained, 1);
  OK(give_access(other, 1));
  EXPECT_EQ(read(other, words(1)), Words(words(1), 8u));
}

TEST_F(Mapping, FlagsForTheFutureMustBeZero) {
  // cuda.h, cuMemCreate and cuMemMap: "flags for future use, must be zero now"
  CUmemGenericAllocationHandle handle = 0;
  const CUmemAllocationProp properties = on_device();
  EXPECT_EQ(cuMemCreate(&handle, unit_, &properties, 1), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuMemMap(reserve(1), unit_, 0, create(1), 1), CUDA_ERROR_INVALID_VALUE);
}

}  // namespace
