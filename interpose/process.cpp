#include "interpose/process.h"

#include <pthread.h>

#include <algorithm>
#include <cstdlib>

#include "interpose/resolver.h"
#include "policies/policy.h"
#include "runtime/log.h"

namespace vhbm::interpose {

// Never destroyed: hooks may be called until the process's last instruction.
Process& Process::instance() noexcept {
  static Process* const process = new Process;
  return *process;
}

void Process::driver_initialised() noexcept {
  std::lock_guard lock(mutex_);
  if (initialised_) return;
  initialised_ = true;
  try {
    auto options = Options::from_environment();
    if (!options.ok()) {
      log_error("{}; this process runs without vHBM", options.status().message());
      return;
    }
    options_ = *options;
    if (options_.disable) return;
    set_log_level(options_.log);
    const char* missing = nullptr;
    if (!driver_.load([](const char* name) { return next_function(name); }, &missing)) {
      log_error("this driver has no {}; this process runs without vHBM", missing);
      return;
    }
    if (find_policy(options_.policy) == nullptr) {
      std::string names;
      for (const Policy& policy : policies()) names += std::string(" ") + policy.name;
      log_error("VHBM_POLICY='{}': accepted are{}; this process runs without vHBM", options_.policy,
                names);
      return;
    }
    pthread_atfork(nullptr, nullptr, [] { instance().stop(); });
    std::atexit([] { instance().stop(); });
    active_.store(true, std::memory_order_release);
  } catch (...) {
    log_line(LogLevel::error, "out of memory at start; this process runs without vHBM");
  }
}

// In a forked child CUDA is of no use, and at the end the driver is about to go: hooks pass through
// from here on, and no thread of ours calls the driver any more.
void Process::stop() noexcept {
  active_.store(false, std::memory_order_release);
  const Runtimes known = runtimes();
  for (std::size_t i = 0; i < known.count; ++i) known.all[i].load()->stop();
}

Runtime* Process::current() noexcept {
  if (!active()) return nullptr;
  CUdevice device = 0;
  if (driver_.cuCtxGetDevice(&device) != CUDA_SUCCESS) return nullptr;
  std::lock_guard lock(mutex_);
  for (const Started& started : started_) {
    if (started.device == device) return started.runtime;
  }
  return start(device);
}

Runtime* Process::start(CUdevice device) noexcept {
  const std::size_t count = count_.load(std::memory_order_relaxed);
  if (count == kMostDevices) return nullptr;
  try {
    CUcontext current = nullptr;
    driver_.cuCtxGetCurrent(&current);
    auto started = Runtime::start(driver_, options_, find_policy(options_.policy)->plan);
    if (!started.ok()) {
      started_.push_back({device, nullptr});
      log_error("device {}: {}; its memory is not paged", device, started.status().message());
      return nullptr;
    }
    Runtime* runtime = started->release();
    // What exists already. A context of another device does no harm: it is only waited for.
    runtime->context_created(current);
    for (CUcontext context : contexts_) runtime->context_created(context);
    for (const Stream& stream : streams_) runtime->stream_created(stream.context, stream.handle);
    for (int i = captures_.load(); i > 0; --i) runtime->capture_began();
    started_.push_back({device, runtime});
    runtimes_[count].store(runtime, std::memory_order_relaxed);
    count_.store(count + 1, std::memory_order_release);
    return runtime;
  } catch (...) {
    log_line(LogLevel::error, "out of memory while starting; this device's memory is not paged");
    return nullptr;
  }
}

void Process::context_created(CUcontext context) noexcept {
  if (!active()) return;
  std::lock_guard lock(mutex_);
  if (std::find(contexts_.begin(), contexts_.end(), context) != contexts_.end()) return;
  contexts_.push_back(context);
  for (const Started& started : started_) {
    if (started.runtime != nullptr) started.runtime->context_created(context);
  }
}

void Process::context_destroyed(CUcontext context) noexcept {
  if (!active()) return;
  std::lock_guard lock(mutex_);
  contexts_.erase(std::remove(contexts_.begin(), contexts_.end(), context), contexts_.end());
  streams_.erase(std::remove_if(streams_.begin(), streams_.end(),
                                [&](const Stream& stream) { return stream.context == context; }),
                 streams_.end());
  for (const Started& started : started_) {
    if (started.runtime != nullptr) started.runtime->context_destroyed(context);
  }
}

void Process::primary_context_retained(CUdevice device, CUcontext context) noexcept {
  if (!active()) return;
  context_created(context);
  std::lock_guard lock(mutex_);
  for (Primary& primary : primaries_) {
    if (primary.device != device) continue;
    primary.context = context;
    ++primary.references;
    return;
  }
  primaries_.push_back({device, context, 1});
}

void Process::primary_context_released(CUdevice device) noexcept {
  CUcontext gone = nullptr;
  {
    std::lock_guard lock(mutex_);
    for (Primary& primary : primaries_) {
      if (primary.device != device || primary.references == 0) continue;
      if (--primary.references == 0) gone = primary.context;
    }
  }
  if (gone != nullptr) context_destroyed(gone);
}

void Process::primary_context_reset(CUdevice device) noexcept {
  CUcontext gone = nullptr;
  {
    std::lock_guard lock(mutex_);
    for (const Primary& primary : primaries_) {
      if (primary.device == device && primary.references > 0) gone = primary.context;
    }
  }
  if (gone != nullptr) context_destroyed(gone);
}

void Process::stream_created(CUstream stream) noexcept {
  if (!active()) return;
  CUcontext context = nullptr;
  if (driver_.cuCtxGetCurrent(&context) != CUDA_SUCCESS) return;
  std::lock_guard lock(mutex_);
  streams_.push_back({context, stream});
  for (const Started& started : started_) {
    if (started.runtime != nullptr) started.runtime->stream_created(context, stream);
  }
}

void Process::stream_destroyed(CUstream stream) noexcept {
  if (!active()) return;
  std::lock_guard lock(mutex_);
  streams_.erase(std::remove_if(streams_.begin(), streams_.end(),
                                [&](const Stream& known) { return known.handle == stream; }),
                 streams_.end());
  for (const Started& started : started_) {
    if (started.runtime != nullptr) started.runtime->stream_destroyed(stream);
  }
}

void Process::capture_began() noexcept {
  std::lock_guard lock(mutex_);
  captures_.fetch_add(1);
  for (const Started& started : started_) {
    if (started.runtime != nullptr) started.runtime->capture_began();
  }
}

void Process::capture_ended() noexcept {
  std::lock_guard lock(mutex_);
  captures_.fetch_sub(1);
  for (const Started& started : started_) {
    if (started.runtime != nullptr) started.runtime->capture_ended();
  }
}

}  // namespace vhbm::interpose
