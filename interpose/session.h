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
#include "interpose/conditional_bodies.h"
#include "interpose/graph_evidence.h"
#include "interpose/linkage.h"
#include "interpose/native_books.h"
#include "interpose/parameter_layouts.h"
#include "interpose/peers.h"
#include "runtime/runtime.h"

namespace vhbm::interpose {

class Session {
 public:
  // Never destroyed: hooks run after static destructors.
  static Session& get() {
    Session* const made = made_.load(std::memory_order_acquire);
    return made != nullptr ? *made : make();
  }

  // nullptr until it started, and where it stands aside. Hot.
  [[nodiscard]] static Runtime* runtime() noexcept {
    return running_.load(std::memory_order_acquire);
  }
  // Starts it on the current context's device, once; a failure is told in one line and is final.
  // nullptr where there is none to use.
  Runtime* start(const Linkage& linkage) noexcept;
  // As start(), on the current context's device; nullptr when its memory is not paged.
  Runtime* start_here(const Linkage& linkage) noexcept;
  // Whether this device's memory is the driver's for good.
  [[nodiscard]] bool never_pages(CUdevice device) noexcept;
  // Other devices were given access to a device's default pool, as they have none to regions.
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
  // Memory at an address that is no region is about to be freed.
  static void native_goes(std::uint64_t address) noexcept;

  void context_created(CUcontext context) noexcept;
  // Not of a primary one: the driver does not let it be destroyed like others.
  void context_destroyed(CUcontext context) noexcept;
  // A use more or less; the last one ends it.
  void context_attached(CUcontext context) noexcept;
  void context_detached(CUcontext context) noexcept;
  // A device's primary context: the last release ends it, and so does a reset, after which whoever
  // retained it has it anew.
  void primary_retained(CUdevice device, CUcontext context) noexcept;
  void primary_released(CUdevice device) noexcept;
  void primary_reset(CUdevice device) noexcept;
  void primary_renewed(CUdevice device) noexcept;
  // A green context keeps its device's primary context alive, and leaves it its memory. As which
  // contexts it is used, it tells one by one.
  void green_created(CUgreenCtx green, CUdevice device, CUcontext primary) noexcept;
  void green_used(CUgreenCtx green, CUcontext context) noexcept;
  void green_destroyed(CUgreenCtx green) noexcept;

  // The current context was given access to the memory of `peer`, or lost it.
  //   any error  regions could not be opened to it: take the access back
  [[nodiscard]] Status peer_enabled(const Linkage& linkage, CUcontext peer) noexcept;
  void peer_disabled(const Linkage& linkage, CUcontext peer) noexcept;

  Captures captures;
  ParameterLayouts layouts;
  GraphEvidence graphs;
  ConditionalBodies conditional_bodies;

 private:
  Session() = default;
  static Session& make();
  void try_to_start(const Linkage& linkage);
  // Opens the regions to whom `peers_` says. Requires the mutex.
  [[nodiscard]] Status open_to_peers(Runtime& runtime);
  static void after_fork_in_child();
  static void at_exit();

  struct Primary {
    CUcontext context = nullptr;
    int retained = 0;
    CUcontext ended_as = nullptr;  // by a reset
  };
  struct Green {
    CUdevice device;
    CUcontext primary;
    std::set<CUcontext> contexts;
  };
  // `heir` gets what was the context's, if there is one.
  void context_ended(CUcontext context, CUcontext heir) noexcept;

  static constinit std::atomic<Session*> made_;
  static constinit std::atomic<Runtime*> running_;
  static constinit std::atomic<bool> decided_;  // started, or never will be
  std::mutex mutex_;
  std::unique_ptr<Runtime> runtime_;
  std::set<CUdevice> not_paged_;
  std::atomic<bool> peers_use_default_pool_{false};
  std::set<CUcontext> contexts_;
  std::map<CUcontext, int> attached_;  // uses beyond the first
  std::map<CUdevice, Primary> primaries_;
  std::map<CUgreenCtx, Green> greens_;
  Peers peers_;
  NativeBooks native_;
};

}  // namespace vhbm::interpose
