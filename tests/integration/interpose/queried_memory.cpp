// The driver's own functions are read out of its ELF image, so no hook stands before them.
#include "queried_memory.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "loaded_functions.h"

namespace {

constexpr std::size_t mebibyte = 1 << 20;

#define MADE(call) EXPECT_EQ(call, CUDA_SUCCESS) << #call

Memory plain(const Api& api, const Maker&, std::size_t size) {
  Memory memory{0, size};
  MADE(api.cuMemAlloc_v2(&memory.base, size));
  return memory;
}
void free_plain(const Api& api, const Maker&, const Memory& memory) {
  MADE(api.cuMemFree_v2(memory.base));
}

Memory rows(const Api& api, const Maker&, std::size_t size) {
  Memory memory{0, size};
  std::size_t pitch = 0;
  MADE(api.cuMemAllocPitch_v2(&memory.base, &pitch, 4000, size / 4096, 4));
  EXPECT_EQ(pitch, 4096u);
  return memory;
}

Memory of_default_pool(const Api& api, const Maker& maker, std::size_t size) {
  Memory memory{0, size};
  MADE(api.cuMemAllocAsync(&memory.base, size, maker.stream));
  return memory;
}
void free_in_order(const Api& api, const Maker& maker, const Memory& memory) {
  MADE(api.cuMemFreeAsync(memory.base, maker.stream));
}

Memory of_named_default_pool(const Api& api, const Maker& maker, std::size_t size) {
  Memory memory{0, size};
  CUmemoryPool pool = nullptr;
  MADE(cuDeviceGetDefaultMemPool(&pool, maker.device));
  MADE(api.cuMemAllocFromPoolAsync(&memory.base, size, pool, maker.stream));
  return memory;
}

Memory of_own_pool(const Api& api, const Maker& maker, std::size_t size) {
  static const CUmemoryPool pool = [&] {
    CUmemPoolProps properties{};
    properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
    properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    properties.location.id = maker.device;
    CUmemoryPool made = nullptr;
    MADE(cuMemPoolCreate(&made, &properties));
    return made;
  }();
  Memory memory{0, size};
  MADE(api.cuMemAllocFromPoolAsync(&memory.base, size, pool, maker.stream));
  return memory;
}

// Its handle is released: what is mapped keeps it.
Memory mapped(const Api& api, const Maker& maker, std::size_t size) {
  Memory memory{0, size};
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  properties.location.id = maker.device;
  CUmemGenericAllocationHandle handle = 0;
  MADE(api.cuMemAddressReserve(&memory.base, size, 0, 0, 0));
  MADE(api.cuMemCreate(&handle, size, &properties, 0));
  MADE(api.cuMemMap(memory.base, size, 0, handle, 0));
  MADE(api.cuMemRelease(handle));
  const CUmemAccessDesc access{properties.location, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  MADE(api.cuMemSetAccess(memory.base, size, &access, 1));
  return memory;
}
void unmap(const Api& api, const Maker&, const Memory& memory) {
  MADE(api.cuMemUnmap(memory.base, memory.size));
  MADE(api.cuMemAddressFree(memory.base, memory.size));
}

Memory of_host(const Api& api, const Maker&, std::size_t size) {
  void* base = nullptr;
  MADE(api.cuMemAllocHost_v2(&base, size));
  return {reinterpret_cast<CUdeviceptr>(base), size};
}
Memory of_mapped_host(const Api& api, const Maker&, std::size_t size) {
  void* base = nullptr;
  MADE(api.cuMemHostAlloc(&base, size, CU_MEMHOSTALLOC_DEVICEMAP));
  return {reinterpret_cast<CUdeviceptr>(base), size};
}
void free_host(const Api& api, const Maker&, const Memory& memory) {
  MADE(api.cuMemFreeHost(reinterpret_cast<void*>(memory.base)));
}

Memory registered(const Api& api, const Maker&, std::size_t size) {
  void* base = std::aligned_alloc(4096, size);
  MADE(api.cuMemHostRegister_v2(base, size, 0));
  return {reinterpret_cast<CUdeviceptr>(base), size};
}
void unregister(const Api& api, const Maker&, const Memory& memory) {
  MADE(api.cuMemHostUnregister(reinterpret_cast<void*>(memory.base)));
  std::free(reinterpret_cast<void*>(memory.base));
}

}  // namespace

const std::array<Kind, 9> kinds = {{
    {"cuMemAlloc", true, mebibyte, &plain, &free_plain},
    {"cuMemAllocPitch", true, mebibyte, &rows, &free_plain},
    {"cuMemAllocAsync", true, mebibyte, &of_default_pool, &free_in_order},
    {"the default pool by name", true, mebibyte, &of_named_default_pool, &free_in_order},
    {"cuMemCreate", true, 0, &mapped, &unmap},
    {"a pool of the program's", false, 4 * mebibyte, &of_own_pool, &free_in_order},
    {"cuMemAllocHost", false, 4 * mebibyte, &of_host, &free_host},
    {"cuMemHostAlloc", false, 4 * mebibyte, &of_mapped_host, &free_host},
    {"cuMemHostRegister", false, 4 * mebibyte, &registered, &unregister},
}};

std::vector<const Kind*> paged_kinds() {
  std::vector<const Kind*> paged;
  for (const Kind& kind : kinds) {
    if (kind.paged) paged.push_back(&kind);
  }
  return paged;
}

std::vector<const Kind*> paged_kinds_of_any_size() {
  std::vector<const Kind*> paged = paged_kinds();
  std::erase_if(paged, [](const Kind* kind) { return kind->native_size == 0; });
  return paged;
}

const Api& hooked() {
  static const Api api{
#define VALUE(function) &::function,
      EACH_QUERIED_FUNCTION(VALUE)
#undef VALUE
  };
  return api;
}

const Api& drivers_own() {
  static const Api api{
#define VALUE(function) \
  reinterpret_cast<decltype(&::function)>(defined_in("libcuda.so.1", #function)),
      EACH_QUERIED_FUNCTION(VALUE)
#undef VALUE
  };
  return api;
}
