// What the driver gave out that is no region, each with its size and its context, so that it can be
// taken off the books again when it is freed, by itself or with its context. Locking: one mutex.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

#include "runtime/runtime.h"

namespace vhbm::interpose {

enum class NativeKind {
  device,  // memory at an address, managed memory too
  array,   // arrays and mipmapped arrays
  host,    // page-locked host memory
};

class NativeBooks {
 public:
  // Already counted with the runtime; what cannot be noted for want of memory stays counted.
  void add(NativeKind kind, std::uint64_t handle, CUcontext context, CUdevice device, Bytes size);
  // Harmless for what is not on the books.
  void freed(NativeKind kind, std::uint64_t handle, Runtime& runtime) noexcept;
  // `heir` gets what was the context's, if there is one.
  void context_destroyed(CUcontext context, CUcontext heir, Runtime& runtime) noexcept;

 private:
  struct Entry {
    CUcontext context;
    CUdevice device;
    Bytes size;
  };
  static void take_off(NativeKind kind, const Entry& entry, Runtime& runtime) noexcept;

  std::mutex mutex_;
  std::map<std::pair<NativeKind, std::uint64_t>, Entry> entries_;
};

}  // namespace vhbm::interpose
