// Nothing here may throw into the application: what cannot be recorded for want of memory is
// dropped, since it only makes the pager more careful or its books a little wrong.
#include "interpose/session.h"

#include <pthread.h>

#include <cstdlib>
#include <exception>

#include "interpose/process_options.h"
#include "policies/policy.h"
#include "policies/tagging.h"
#include "runtime/log.h"
#include "runtime/options.h"

namespace vhbm::interpose {
namespace {

template <typename Work>
void keep_exceptions_in(Work&& work) noexcept {
  try {
    work();
  } catch (const std::exception& error) {
    log_line(LogLevel::warn, error.what());
  }
}

}  // namespace

constinit std::atomic<Runtime*> Session::running_{nullptr};
constinit std::atomic<bool> Session::decided_{false};

Session& Session::get() {
  static Session* const session = new Session;
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
  CUdevice current = 0;
  if (started == nullptr || linkage.ask.cuCtxGetDevice(&current) != CUDA_SUCCESS) return nullptr;
  if (current == device_) return started;
  if (!told_of_other_device_.exchange(true)) {
    keep_exceptions_in([&] {
      log_warn("only device {}'s memory is paged in this process; device {}'s is the driver's",
               device_, current);
    });
  }
  return nullptr;
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
  if (linkage.ask.cuCtxGetDevice(&device_) != CUDA_SUCCESS) {
    log_error("the driver does not say which device this is: vHBM is off in this process");
    return;
  }
  auto started =
      Runtime::start(linkage.driver, *options, {find_policy(options->policy)->plan, &guess_tag});
  if (!started.ok()) {
    log_error("vHBM is off in this process: {}", started.status().message());
    return;
  }
  runtime_ = std::move(*started);
  for (CUcontext context : contexts_) runtime_->context_created(context);
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
    native_.add(kind, handle, context, size);
  });
}

void Session::native_freed(NativeKind kind, std::uint64_t handle) noexcept {
  Runtime* const runtime = Session::runtime();
  if (runtime != nullptr) native_.freed(kind, handle, *runtime);
}

void Session::context_created(CUcontext context) noexcept {
  if (stands_aside()) return;
  keep_exceptions_in([&] {
    std::lock_guard lock(mutex_);
    contexts_.insert(context);
    if (Runtime* const runtime = Session::runtime(); runtime != nullptr) {
      runtime->context_created(context);
    }
  });
}

void Session::context_destroyed(CUcontext context) noexcept {
  if (stands_aside()) return;
  keep_exceptions_in([&] {
    {
      std::lock_guard lock(mutex_);
      contexts_.erase(context);
    }
    if (Runtime* const runtime = Session::runtime(); runtime != nullptr) {
      captures.context_destroyed(context, *runtime);
      runtime->context_destroyed(context);
      native_.context_destroyed(context, *runtime);
    }
    layouts.forget();
  });
}

void Session::primary_retained(CUdevice device, CUcontext context) noexcept {
  if (stands_aside()) return;
  keep_exceptions_in([&] {
    {
      std::lock_guard lock(mutex_);
      Primary& primary = primaries_[device];
      primary.context = context;
      ++primary.retained;
    }
    context_created(context);
  });
}

void Session::primary_released(CUdevice device) noexcept {
  if (stands_aside()) return;
  {
    std::lock_guard lock(mutex_);
    const auto found = primaries_.find(device);
    if (found == primaries_.end() || found->second.retained == 0) return;
    if (--found->second.retained != 0) return;
  }
  primary_reset(device);
}

void Session::primary_reset(CUdevice device) noexcept {
  if (stands_aside()) return;
  CUcontext context = nullptr;
  {
    std::lock_guard lock(mutex_);
    const auto found = primaries_.find(device);
    if (found == primaries_.end()) return;
    context = found->second.context;
    found->second.context = nullptr;
  }
  if (context != nullptr) context_destroyed(context);
}

}  // namespace vhbm::interpose
