// vHBM in this process: off until cuInit succeeded, then one runtime for each device that is used.
// Invariant: whatever goes wrong here, every call still reaches the driver. Locking: a mutex for what
// changes rarely; hot hooks read atomics only.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "runtime/driver.h"
#include "runtime/options.h"
#include "runtime/runtime.h"

namespace vhbm::interpose {

class Process {
 public:
  static Process& instance() noexcept;

  // After a successful cuInit: reads the options. Says in one line why not, when it cannot work.
  void driver_initialised() noexcept;

  // The runtime of the current context's device, started when there is none yet. nullptr: pass through.
  [[nodiscard]] Runtime* current() noexcept;

  // Hot. The runtimes there are; the first `count` entries.
  static constexpr std::size_t kMostDevices = 16;
  struct Runtimes {
    const std::array<std::atomic<Runtime*>, kMostDevices>& all;
    std::size_t count;
  };
  [[nodiscard]] Runtimes runtimes() const noexcept {
    return {runtimes_, count_.load(std::memory_order_acquire)};
  }
  // Hot. The runtime that owns an address, or nullptr.
  [[nodiscard]] Runtime* owner(DeviceAddress address) const noexcept {
    const Runtimes known = runtimes();
    for (std::size_t i = 0; i < known.count; ++i) {
      Runtime* runtime = known.all[i].load(std::memory_order_relaxed);
      if (runtime->owns(address)) return runtime;
    }
    return nullptr;
  }

  // Announced from the first cuInit on, also before a runtime exists that must know.
  void context_created(CUcontext context) noexcept;
  void context_destroyed(CUcontext context) noexcept;
  // A device's primary context goes with its last reference, or when it is reset.
  void primary_context_retained(CUdevice device, CUcontext context) noexcept;
  void primary_context_released(CUdevice device) noexcept;
  void primary_context_reset(CUdevice device) noexcept;
  void stream_created(CUstream stream) noexcept;
  void stream_destroyed(CUstream stream) noexcept;
  // Captures are counted here too: while there are any, allocations stay native.
  void capture_began() noexcept;
  void capture_ended() noexcept;
  [[nodiscard]] bool capturing() const noexcept { return captures_.load() > 0; }

  // False in a forked child, and at the process's end: hooks then only pass through.
  [[nodiscard]] bool active() const noexcept { return active_.load(std::memory_order_acquire); }

 private:
  Process() = default;
  Runtime* start(CUdevice device) noexcept;
  void stop() noexcept;

  struct Stream {
    CUcontext context;
    CUstream handle;
  };

  std::atomic<bool> active_{false};
  std::atomic<int> captures_{0};
  std::array<std::atomic<Runtime*>, kMostDevices> runtimes_{};
  std::atomic<std::size_t> count_{0};

  std::mutex mutex_;  // of all below
  bool initialised_ = false;
  Driver driver_;
  Options options_;
  std::vector<CUcontext> contexts_;
  struct Primary {
    CUdevice device;
    CUcontext context;
    unsigned references;
  };
  std::vector<Primary> primaries_;
  std::vector<Stream> streams_;
  struct Started {
    CUdevice device;
    Runtime* runtime;  // nullptr: it could not be started, and that was said
  };
  std::vector<Started> started_;
};

}  // namespace vhbm::interpose
