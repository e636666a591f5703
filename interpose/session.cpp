// Nothing here may throw into the application: what cannot be recorded for want of memory is
// dropped, since it only makes the pager more careful or its books a little wrong.
#include "interpose/session.h"

#include <pthread.h>

#include <cstdlib>
#include <exception>

#include "interpose/keep_exceptions_in.h"
#include "interpose/kernel_times.h"
#include "interpose/process_options.h"
#include "policies/policy.h"
#include "policies/tagging.h"
#include "policies/turns.h"
#include "policies/wake.h"
#include "runtime/context_scope.h"
#include "runtime/log.h"
#include "runtime/options.h"
#include "runtime/spill/tier_settings.h"

namespace vhbm::interpose {

constinit std::atomic<Session*> Session::made_{nullptr};
constinit std::atomic<Runtime*> Session::running_{nullptr};
constinit std::atomic<bool> Session::decided_{false};

Session& Session::make() {
  static Session* const session = new Session;
  made_.store(session, std::memory_order_release);
  return *session;
}

Runtime* Session::start(const Linkage& linkage) noexcept {
  if (decided_.load(std::memory_order_acquire)) return runtime();
  CUcontext current = nullptr;
  if (linkage.ask.cuCtxGetCurrent == nullptr ||
      linkage.ask.cuCtxGetCurrent(&current) != CUDA_SUCCESS || current == nullptr) {
    return nullptr;
  }
  std::lock_guard lock(mutex_);
  if (!decided_.load(std::memory_order_relaxed)) {
    keep_exceptions_in([&] { try_to_start(linkage); });
    decided_.store(true, std::memory_order_release);
  }
  return runtime();
}

Runtime* Session::start_here(const Linkage& linkage) noexcept {
  Runtime* const started = start(linkage);
  if (started == nullptr) return nullptr;
  const CUdevice device = started->current_device();
  if (device < 0) return nullptr;
  if (started->pages(device)) return started;
  std::lock_guard lock(mutex_);
  keep_exceptions_in([&] {
    if (not_paged_.count(device) != 0) return;
    Status status = started->add_device();
    // No region is there yet that could not be opened.
    if (status.ok()) status = open_to_peers(*started);
    if (status.ok()) return;
    not_paged_.insert(device);
    log_warn("device {}'s memory is not paged: {}", device, status.message());
  });
  return started->pages(device) ? started : nullptr;
}

bool Session::never_pages(CUdevice device) noexcept {
  std::lock_guard lock(mutex_);
  return not_paged_.count(device) != 0;
}

void Session::try_to_start(const Linkage& linkage) {
  if (Options::disabled_by_environment()) return;
  const auto* const read = process_options();
  if (read == nullptr) return;
  const Result<Options>& options = *read;
  if (!options.ok()) {
    log_error("{}; vHBM is off in this process", options.status().message());
    return;
  }
  if (options->disable) return;
  if (linkage.missing != nullptr) {
    log_error("this driver has no {}: vHBM is off in this process", linkage.missing);
    return;
  }
  auto below = open_block_store(*options, [](const char* name) { return std::getenv(name); });
  if (!below.ok()) log_error("sleepers stay in host memory: {}", below.status().message());
  auto started = Runtime::start(
      linkage.driver, *options,
      {find_policy(options->policy)->plan, &guess_tag, &wake_order, &share_out},
      below.ok() ? std::move(*below) : nullptr, std::make_unique<KernelTimesBehindHooks>());
  if (!started.ok()) {
    log_error("vHBM is off in this process: {}", started.status().message());
    return;
  }
  runtime_ = std::move(*started);
  layouts.describe_by(runtime_->kv_layouts());
  for (CUcontext context : contexts_) runtime_->context_created(context);
  if (Status opened = open_to_peers(*runtime_); !opened.ok()) {
    log_error("vHBM is off in this process: {}", opened.message());
    return runtime_.reset();
  }
  watch_forks();
  std::atexit(&at_exit);
  running_.store(runtime_.get(), std::memory_order_release);
}

void Session::watch_forks() noexcept {
  static constinit std::atomic<bool> watched{false};
  get();  // made now, since a child must not wait for who makes it
  if (!watched.exchange(true)) pthread_atfork(nullptr, nullptr, &after_fork_in_child);
}

// The child has no CUDA, and none of our threads; a lock may be held by one that is gone. From here
// on every call goes to the driver.
void Session::after_fork_in_child() {
  decided_.store(true);
  if (Runtime* const runtime = running_.exchange(nullptr); runtime != nullptr) runtime->stop();
}

// The driver shuts down after this, and nothing of ours may be in it then. Regions stay usable for
// those destructors that still free memory.
void Session::at_exit() {
  if (Runtime* const runtime = running_.load(); runtime != nullptr) runtime->stop();
}

void Session::native_allocated(const Linkage& linkage, NativeKind kind, std::uint64_t handle,
                               Bytes size) noexcept {
  keep_exceptions_in([&] {
    CUcontext context = nullptr;
    (void)linkage.ask.cuCtxGetCurrent(&context);
    const Runtime* const runtime = Session::runtime();
    if (runtime != nullptr) native_.add(kind, handle, context, runtime->current_device(), size);
  });
}

void Session::native_goes(std::uint64_t address) noexcept {
  if (Runtime* const runtime = Session::runtime(); runtime != nullptr) {
    runtime->native_goes({address});
  }
}

void Session::native_freed(NativeKind kind, std::uint64_t handle) noexcept {
  Runtime* const runtime = Session::runtime();
  if (runtime != nullptr) native_.freed(kind, handle, *runtime);
}

Status Session::peer_enabled(const Linkage& linkage, CUcontext peer) noexcept {
  // Without its required functions the driver is never told of regions.
  if (stands_aside() || linkage.missing != nullptr) return {};
  const Driver& driver = linkage.driver;
  try {
    Peers::Side accessor{nullptr, 0}, owner{peer, 0};
    CUresult asked = driver.cuCtxGetCurrent(&accessor.context);
    if (asked == CUDA_SUCCESS) asked = driver.cuCtxGetDevice(&accessor.device);
    if (asked == CUDA_SUCCESS) {
      const ContextScope scope(driver, peer);
      asked =
          scope.result() == CUDA_SUCCESS ? driver.cuCtxGetDevice(&owner.device) : scope.result();
    }
    if (asked != CUDA_SUCCESS) return Status::driver(asked, "asking for the contexts' devices");
    std::lock_guard lock(mutex_);
    peers_.enabled(accessor, owner);
    Runtime* const runtime = Session::runtime();
    Status opened = runtime == nullptr ? Status() : open_to_peers(*runtime);
    if (!opened.ok()) peers_.disabled(accessor.context, owner.context);
    return opened;
  } catch (const std::exception& error) {
    return Status(Errc::out_of_memory, error.what());
  }
}

void Session::peer_disabled(const Linkage& linkage, CUcontext peer) noexcept {
  if (stands_aside() || linkage.missing != nullptr) return;
  keep_exceptions_in([&] {
    CUcontext current = nullptr;
    (void)linkage.driver.cuCtxGetCurrent(&current);
    std::lock_guard lock(mutex_);
    peers_.disabled(current, peer);
    if (Runtime* const runtime = Session::runtime()) (void)open_to_peers(*runtime);
  });
}

Status Session::open_to_peers(Runtime& runtime) {
  Status all;
  for (const CUdevice owner : peers_.owners()) {
    Status opened = runtime.set_peers(owner, peers_.accessors_of(owner));
    if (!opened.ok()) all = opened;
  }
  return all;
}

}  // namespace vhbm::interpose
