// The kernel that looks at block tables, in one context, and the page-locked memory in which it
// leaves what it saw. Where they cannot be had, nothing is looked at. Locking: prepare() and the
// end of the context the device's lock; launch() none.
#pragma once

#include <cuda.h>

#include <atomic>
#include <cstdint>
#include <span>

#include "runtime/driver.h"
#include "runtime/kernels/kv_probe_request.h"
#include "runtime/status.h"
#include "runtime/units.h"

namespace vhbm {

class KvProbe {
 public:
  // Bytes of marks, caches that can be looked at, and pieces of memory that looks may read.
  static constexpr std::size_t most_marks = 4 << 20, most_words = 4096, most_guards = 4096;

  explicit KvProbe(const Driver& driver) : driver_(driver) {}
  ~KvProbe();
  KvProbe(const KvProbe&) = delete;
  KvProbe& operator=(const KvProbe&) = delete;

  // Loads the kernel into `context` and tries it on `stream`, waiting for it.
  //   Errc::unsupported, Errc::driver_error  it is not usable, for good
  [[nodiscard]] Status prepare(CUcontext context, CUstream stream);
  // Whether looks can be launched in that context.
  [[nodiscard]] bool usable_in(CUcontext context) const noexcept {
    return context != nullptr && context_.load(std::memory_order_acquire) == context;
  }
  [[nodiscard]] bool usable() const noexcept {
    return context_.load(std::memory_order_acquire) != nullptr;
  }
  void context_destroyed(CUcontext context);

  // Looks were captured, which the application may replay whenever it likes: what they need stays.
  void keep() noexcept { kept_.store(true, std::memory_order_relaxed); }

  // Queues a look on a stream of its context, which is current. Captured where the stream is.
  [[nodiscard]] CUresult launch(const KvProbeRequest& request, CUstream stream) const noexcept;

  // Zeroed at first; there while usable().
  [[nodiscard]] std::span<std::uint8_t> marks() const { return {memory_, most_marks}; }
  [[nodiscard]] KvWords* words() const { return reinterpret_cast<KvWords*>(memory_ + most_marks); }
  [[nodiscard]] std::uint32_t* guards() const {
    return reinterpret_cast<std::uint32_t*>(words() + most_words);
  }

 private:
  [[nodiscard]] Status try_out(CUstream stream);

  const Driver& driver_;
  std::atomic<CUcontext> context_{nullptr};
  std::atomic<bool> kept_{false};
  CUcontext loaded_in_ = nullptr;
  CUmodule module_ = nullptr;
  CUfunction probe_ = nullptr;
  std::uint8_t* memory_ = nullptr;
};

}  // namespace vhbm
