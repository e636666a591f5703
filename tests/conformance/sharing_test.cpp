// Memory shared between processes: file descriptors of physical memory, and the handles of
// cuIpcGetMemHandle. The other process is this program again, told by its environment what to take.
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "virtual_memory.h"

using namespace conformance;

namespace {

constexpr const char* kFileVariable = "CONFORMANCE_SHARED_FILE";
constexpr const char* kHandleVariable = "CONFORMANCE_SHARED_HANDLE";

class Sharing : public VirtualMemory {
 protected:
  void SetUp() override {
    VirtualMemory::SetUp();
    int supported = 0;
    OK(cuDeviceGetAttribute(
        &supported, CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED, device_));
    if (supported == 0) GTEST_SKIP() << "this device exports no file descriptors";
  }
  CUmemGenericAllocationHandle create_exportable() {
    CUmemAllocationProp properties = on_device();
    properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
    return create(1, properties);
  }
  static int export_file(CUmemGenericAllocationHandle handle) {
    int file = -1;
    EXPECT_EQ(
        cuMemExportToShareableHandle(&file, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
        CUDA_SUCCESS);
    return file;
  }
  static CUresult import_file(int file, CUmemGenericAllocationHandle* handle) {
    return cuMemImportFromShareableHandle(handle,
                                          reinterpret_cast<void*>(static_cast<std::intptr_t>(file)),
                                          CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
  }
  CUdeviceptr ready_of(CUmemGenericAllocationHandle handle) {
    const CUdeviceptr address = reserve(1);
    map(address, handle, 1);
    EXPECT_EQ(give_access(address, 1), CUDA_SUCCESS);
    return address;
  }
};

TEST_F(Sharing, AnImportedHandleIsTheSameMemory) {
  const CUmemGenericAllocationHandle exported = create_exportable();
  const CUdeviceptr here = ready_of(exported);
  const int file = export_file(exported);
  CUmemGenericAllocationHandle imported = 0;
  OK(import_file(file, &imported));
  handles_.push_back(imported);
  const CUdeviceptr there = ready_of(imported);
  OK(launch(kernel("fill"), words(1), nullptr, here, 21u, words(1)));
  OK(launch(kernel("add_one"), words(1), nullptr, there, words(1)));
  EXPECT_EQ(read(here, words(1)), Words(words(1), 22u));
  close(file);
}

TEST_F(Sharing, AnotherProcessMapsTheMemory) {
  // cuda.h, cuMemExportToShareableHandle: "The recipient process can convert the shareable handle
  // back into a CUDA memory handle using cuMemImportFromShareableHandle and map it with cuMemMap."
  const CUmemGenericAllocationHandle exported = create_exportable();
  const CUdeviceptr here = ready_of(exported);
  OK(launch(kernel("fill"), words(1), nullptr, here, 30u, words(1)));
  OK(cuCtxSynchronize());
  const int file = export_file(exported);
  fcntl(file, F_SETFD, 0);  // the other process inherits it
  setenv(kFileVariable, std::to_string(file).c_str(), 1);
  EXPECT_TRUE(passes_alone("AddsOneToTheFile"));
  unsetenv(kFileVariable);
  EXPECT_EQ(read(here, words(1)), Words(words(1), 31u));
  close(file);
}

TEST_F(Sharing, AFileKeepsTheMemoryOfAReleasedHandle) {
  // cuda.h, cuMemExportToShareableHandle: "Once all shareable handles are closed and the allocation
  // is released, the allocated memory referenced will be released"
  CUmemGenericAllocationHandle handle = 0, imported = 0;
  CUmemAllocationProp properties = on_device();
  properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  OK(cuMemCreate(&handle, unit_, &properties, 0));
  const CUdeviceptr address = ready_of(handle);
  OK(launch(kernel("fill"), words(1), nullptr, address, 40u, words(1)));
  OK(cuCtxSynchronize());
  const int file = export_file(handle);
  unmap(address);
  OK(cuMemRelease(handle));
  // Whatever is allocated now is other memory.
  const CUdeviceptr other = ready(1);
  OK(launch(kernel("fill"), words(1), nullptr, other, 99u, words(1)));
  OK(cuCtxSynchronize());
  OK(import_file(file, &imported));
  handles_.push_back(imported);
  EXPECT_EQ(read(ready_of(imported), words(1)), Words(words(1), 40u));
  close(file);
}

TEST_F(Sharing, TellsThePropertiesOfWhatItImported) {
  const CUmemGenericAllocationHandle exported = create_exportable();
  const int file = export_file(exported);
  CUmemGenericAllocationHandle imported = 0;
  OK(import_file(file, &imported));
  handles_.push_back(imported);
  CUmemAllocationProp properties{};
  OK(cuMemGetAllocationPropertiesFromHandle(&properties, imported));
  EXPECT_EQ(properties.location.type, CU_MEM_LOCATION_TYPE_DEVICE);
  EXPECT_EQ(properties.type, CU_MEM_ALLOCATION_TYPE_PINNED);
  close(file);
}

TEST_F(Sharing, WhatWasNotMadeForExportIsNotExported) {
  // cuda.h, CUmemAllocationProp::requestedHandleTypes: "requested CUmemAllocationHandleType"
  int file = -1;
  EXPECT_NE(
      cuMemExportToShareableHandle(&file, create(1), CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
      CUDA_SUCCESS);
}

TEST_F(Sharing, OtherFilesAreNotImported) {
  const int file = open("/dev/null", O_RDONLY);
  CUmemGenericAllocationHandle handle = 0;
  EXPECT_NE(import_file(file, &handle), CUDA_SUCCESS);
  close(file);
}

TEST_F(Sharing, AnotherProcessOpensAHandle) {
  // cuda.h, cuIpcOpenMemHandle: "Maps memory exported from another process with cuIpcGetMemHandle
  // into the current device address space."
  for (const std::size_t bytes : {std::size_t{4096}, 8 * kMiB}) {
    const CUdeviceptr memory = allocate(bytes);
    OK(cuMemsetD32(memory, 50, 1024));
    OK(cuCtxSynchronize());
    CUipcMemHandle handle{};
    OK(cuIpcGetMemHandle(&handle, memory));
    std::string text;
    for (const char byte : handle.reserved) {
      const char digits[] = "0123456789abcdef";
      text += digits[(byte >> 4) & 15];
      text += digits[byte & 15];
    }
    setenv(kHandleVariable, text.c_str(), 1);
    EXPECT_TRUE(passes_alone("AddsOneToTheHandle"));
    unsetenv(kHandleVariable);
    EXPECT_EQ(read(memory, 1024), Words(1024, 51u));
  }
}

TEST_F(Sharing, OnlyMemAllocMemoryHasAHandle) {
  // cuda.h, cuIpcGetMemHandle: "Takes a pointer to the base of an existing device memory allocation
  // created with cuMemAlloc". For mapped memory the driver answers "invalid argument"
  // (vllm-project/vllm issue 42609).
  CUipcMemHandle handle{};
  EXPECT_EQ(cuIpcGetMemHandle(&handle, ready(1)), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuIpcGetMemHandle(nullptr, allocate(4096)), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Sharing, AHandleOfAnInnerAddressIsTheAllocations) {
  // A driver gave "opaque handles [that] are identical" for the base and for half a mebibyte behind
  // it (openucx/ucx issue 11724).
  for (const std::size_t bytes : {std::size_t{4096}, 8 * kMiB}) {
    const CUdeviceptr memory = allocate(bytes);
    CUipcMemHandle handle{}, inner{};
    OK(cuIpcGetMemHandle(&handle, memory));
    OK(cuIpcGetMemHandle(&inner, memory + bytes / 2));
    EXPECT_EQ(std::memcmp(&handle, &inner, sizeof handle), 0);
  }
}

TEST_F(Sharing, ARangeOfDeviceMemoryHasAFileWhereItIsOneKindOfMemory) {
  // cuda.h, cuMemGetHandleForAddressRange: "the entire address range is backed and mapped [...] All
  // the physical allocations backing the address range must be resident on the same device and have
  // identical allocation properties."
  int supported = 0;
  OK(cuDeviceGetAttribute(&supported, CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED, device_));
  if (supported == 0) GTEST_SKIP() << "this device has no dma-buf";
  constexpr auto dma_buf = CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD;
  const CUdeviceptr range = reserve(3);
  map(range, create(1), 1);
  map(range + unit_, create(1), 1);
  EXPECT_EQ(give_access(range, 2), CUDA_SUCCESS);
  int file = -1;
  OK(cuMemGetHandleForAddressRange(&file, range, 2 * unit_, dma_buf, 0));
  EXPECT_GE(file, 0);
  close(file);
  EXPECT_NE(cuMemGetHandleForAddressRange(&file, range, 3 * unit_, dma_buf, 0), CUDA_SUCCESS);
  EXPECT_NE(cuMemGetHandleForAddressRange(&file, range + 64, unit_, dma_buf, 0), CUDA_SUCCESS);
  EXPECT_NE(cuMemGetHandleForAddressRange(nullptr, range, unit_, dma_buf, 0), CUDA_SUCCESS);
  map(range + 2 * unit_, create_exportable(), 1);
  EXPECT_EQ(give_access(range + 2 * unit_, 1), CUDA_SUCCESS);
  EXPECT_NE(cuMemGetHandleForAddressRange(&file, range, 3 * unit_, dma_buf, 0), CUDA_SUCCESS);
  OK(cuMemGetHandleForAddressRange(&file, allocate(8 * kMiB), 8 * kMiB, dma_buf, 0));
  close(file);
}

TEST_F(Sharing, OpeningTakesOneFlagAndClosingWhatWasOpened) {
  // cuda.h, cuIpcOpenMemHandle: "Must be specified as CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS"
  const CUdeviceptr memory = allocate(4096);
  CUipcMemHandle handle{};
  OK(cuIpcGetMemHandle(&handle, memory));
  CUdeviceptr address = 0;
  EXPECT_EQ(cuIpcOpenMemHandle(&address, handle, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_NE(cuIpcCloseMemHandle(memory), CUDA_SUCCESS);
}

using SharingAlone = Sharing;

TEST_F(SharingAlone, DISABLED_AddsOneToTheFile) {
  const char* text = std::getenv(kFileVariable);
  ASSERT_NE(text, nullptr);
  CUmemGenericAllocationHandle handle = 0;
  OK(import_file(std::atoi(text), &handle));
  handles_.push_back(handle);
  const CUdeviceptr address = ready_of(handle);
  EXPECT_EQ(read(address, words(1)), Words(words(1), 30u));
  OK(launch(kernel("add_one"), words(1), nullptr, address, words(1)));
  OK(cuCtxSynchronize());
}

TEST_F(SharingAlone, DISABLED_AddsOneToTheHandle) {
  const char* text = std::getenv(kHandleVariable);
  ASSERT_NE(text, nullptr);
  CUipcMemHandle handle{};
  ASSERT_EQ(std::strlen(text), 2 * sizeof handle.reserved);
  for (std::size_t i = 0; i < sizeof handle.reserved; ++i) {
    handle.reserved[i] = static_cast<char>(std::stoi(std::string(text + 2 * i, 2), nullptr, 16));
  }
  CUdeviceptr address = 0, again = 0;
  OK(cuIpcOpenMemHandle(&address, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
  // "If the memory handle has already been opened by the current context, the reference count on
  // the handle is incremented by 1 and the existing device pointer is returned."
  OK(cuIpcOpenMemHandle(&again, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
  EXPECT_EQ(again, address);
  OK(cuIpcCloseMemHandle(again));
  EXPECT_EQ(read(address, 1024), Words(1024, 50u));
  OK(launch(kernel("add_one"), 1024, nullptr, address, 1024u));
  OK(cuCtxSynchronize());
  OK(cuIpcCloseMemHandle(address));
  EXPECT_NE(cuIpcCloseMemHandle(address), CUDA_SUCCESS);
}

}  // namespace
