// This process's one runtime: when it starts, what it must be told of contexts and native memory,
// and when it stands aside (disabled, forked child, could not start). Lives until the process does.
// Locking: one mutex for what is rare; runtime() is an atomic load.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "interpose/captures.h"
#include "interpose/graph_evidence.h"
#include "interpose/linkage.h"
#include "interpose/native_books.h"
#include "interpose/parameter_layouts.h"
#include "runtime/runtime.h"

namespace vhbm::interpose {

class Session {
 public:
  // Never destroyed: hooks run after static destructors.
  static Session& get();

  // nullptr until it started, and where it stands aside. Hot.
  [[nodiscard]] static Runtime* runtime() noexcept {
    return running_.load(std::memory_order_acquire);
  }
  // Starts it on the current context's device, once; a failure is told in one line and is final.
  // nullptr where there is none to use.
  Runtime* start(const Linkage& linkage) noexcept;
  // As start(), and nullptr when the current context's device is not the runtime's.
  Runtime* start_here(const Linkage& linkage) noexcept;
  // Whether it is this device's memory that is paged. Requires runtime().
  [[nodiscard]] bool pages(CUdevice device) const noexcept { return device == device_; }
  [[nodiscard]] CUdevice device() const noexcept { return device_; }
  // Other devices were given access to the device's default pool, as they have none to regions.
  void let_peers_use_default_pool() noexcept { peers_use_default_pool_.store(true); }
  [[nodiscard]] bool peers_use_default_pool() const noexcept {
    return peers_use_default_pool_.load();
  }
  // It could not start, or never will in this process: every answer is the driver's. Nothing is
  // recorded any more; in a forked child the mutex may be held by a thread that is gone.
  [[nodiscard]] static bool stands_aside() noexcept {
    return decided_.load(std::memory_order_acquire) && runtime() == nullptr;
  }

  // The driver is in use from here on: the child of a fork has none, and we stand aside there. A
  // process that forks before, as a daemon does, is virtualised like any other.
  static void watch_forks() noexcept;

  // The driver gave out memory in the current context that is no region and was counted as such,
  // and took it back. What is left goes with its context.
  void native_allocated(const Linkage& linkage, NativeKind kind, std::uint64_t handle,
                        Bytes size) noexcept;
  void native_freed(NativeKind kind, std::uint64_t handle) noexcept;

  void context_created(CUcontext context) noexcept;
  void context_destroyed(CUcontext context) noexcept;
  // A device's primary context: the last release ends it, and so does a reset.
  void primary_retained(CUdevice device, CUcontext context) noexcept;
  void primary_released(CUdevice device) noexcept;
  void primary_reset(CUdevice device) noexcept;

  Captures captures;
  ParameterLayouts layouts;
  GraphEvidence graphs;

 private:
  Session() = default;
  void try_to_start(const Linkage& linkage);
  static void after_fork_in_child();
  static void at_exit();

  struct Primary {
    CUcontext context = nullptr;
    int retained = 0;
  };

  static constinit std::atomic<Runtime*> running_;
  static constinit std::atomic<bool> decided_;  // started, or never will be
  std::mutex mutex_;
  std::unique_ptr<Runtime> runtime_;
  CUdevice device_ = 0;
  std::atomic<bool> told_of_other_device_{false};
  std::atomic<bool> peers_use_default_pool_{false};
  std::set<CUcontext> contexts_;
  std::map<CUdevice, Primary> primaries_;
  NativeBooks native_;
};

}  // namespace vhbm::interpose
