// Every kind of memory that a program can have, made and asked after through the hooks, or through
// the driver's own functions past them.
#pragma once

#include <cuda.h>

#include <array>
#include <cstddef>
#include <vector>

#define EACH_QUERIED_FUNCTION(X) \
  X(cuMemAlloc_v2)               \
  X(cuMemAllocPitch_v2)          \
  X(cuMemFree_v2)                \
  X(cuMemAllocAsync)             \
  X(cuMemAllocFromPoolAsync)     \
  X(cuMemFreeAsync)              \
  X(cuMemAllocHost_v2)           \
  X(cuMemHostAlloc)              \
  X(cuMemFreeHost)               \
  X(cuMemHostRegister_v2)        \
  X(cuMemHostUnregister)         \
  X(cuMemAddressReserve)         \
  X(cuMemAddressFree)            \
  X(cuMemCreate)                 \
  X(cuMemRelease)                \
  X(cuMemMap)                    \
  X(cuMemUnmap)                  \
  X(cuMemSetAccess)              \
  X(cuMemGetInfo_v2)             \
  X(cuMemGetAddressRange_v2)     \
  X(cuPointerGetAttribute)       \
  X(cuPointerGetAttributes)

struct Api {
#define POINTER(function) decltype(&::function) function;
  EACH_QUERIED_FUNCTION(POINTER)
#undef POINTER
};
const Api& hooked();
const Api& drivers_own();

struct Memory {
  CUdeviceptr base;
  std::size_t size;  // as asked for
};

// What making memory takes.
struct Maker {
  CUdevice device;
  CUstream stream;
};

struct Kind {
  const char* name;
  bool paged;               // large ones become regions
  std::size_t native_size;  // one that stays the driver's; 0: there is none, nor any but of pages
  Memory (*make)(const Api&, const Maker&, std::size_t size);
  void (*drop)(const Api&, const Maker&, const Memory&);
};
extern const std::array<Kind, 9> kinds;
std::vector<const Kind*> paged_kinds();
// Of these, what can be of any size.
std::vector<const Kind*> paged_kinds_of_any_size();

// As queries.toml says.
inline constexpr std::size_t held_size = 3 << 20;
