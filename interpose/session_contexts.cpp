// What a session knows of contexts: which there are, when each ends, and what then becomes of its
// memory.
#include "interpose/keep_exceptions_in.h"
#include "interpose/session.h"

namespace vhbm::interpose {

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
  {
    std::lock_guard lock(mutex_);
    for (const auto& [device, primary] : primaries_) {
      if (primary.context == context) return;
    }
    attached_.erase(context);
  }
  context_ended(context, nullptr);
}

void Session::context_attached(CUcontext context) noexcept {
  if (stands_aside()) return;
  keep_exceptions_in([&] {
    std::lock_guard lock(mutex_);
    ++attached_[context];
  });
}

void Session::context_detached(CUcontext context) noexcept {
  if (stands_aside()) return;
  {
    std::lock_guard lock(mutex_);
    if (const auto found = attached_.find(context); found != attached_.end()) {
      if (--found->second == 0) attached_.erase(found);
      return;
    }
  }
  context_destroyed(context);
}

void Session::context_ended(CUcontext context, CUcontext heir) noexcept {
  if (stands_aside()) return;
  keep_exceptions_in([&] {
    {
      std::lock_guard lock(mutex_);
      contexts_.erase(context);
    }
    if (Runtime* const runtime = Session::runtime(); runtime != nullptr) {
      captures.context_destroyed(context, *runtime);
      runtime->context_destroyed(context, heir);
      native_.context_destroyed(context, heir, *runtime);
    }
    {
      std::lock_guard lock(mutex_);
      peers_.context_destroyed(context);
      if (Runtime* const runtime = Session::runtime()) (void)open_to_peers(*runtime);
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
    found->second.ended_as = context;
  }
  if (context != nullptr) context_ended(context, nullptr);
}

void Session::primary_renewed(CUdevice device) noexcept {
  if (stands_aside()) return;
  CUcontext context = nullptr;
  {
    std::lock_guard lock(mutex_);
    const auto found = primaries_.find(device);
    if (found == primaries_.end() || found->second.retained == 0) return;
    context = found->second.ended_as;
    found->second.context = context;
  }
  if (context != nullptr) context_created(context);
}

void Session::green_created(CUgreenCtx green, CUdevice device, CUcontext primary) noexcept {
  if (stands_aside()) return;
  primary_retained(device, primary);
  keep_exceptions_in([&] {
    std::lock_guard lock(mutex_);
    greens_[green] = {device, primary, {}};
  });
}

void Session::green_used(CUgreenCtx green, CUcontext context) noexcept {
  if (stands_aside()) return;
  keep_exceptions_in([&] {
    {
      std::lock_guard lock(mutex_);
      const auto found = greens_.find(green);
      // A driver may have no context of its own for it.
      if (found == greens_.end() || found->second.primary == context) return;
      found->second.contexts.insert(context);
    }
    context_created(context);
  });
}

void Session::green_destroyed(CUgreenCtx green) noexcept {
  if (stands_aside()) return;
  Green gone{};
  {
    std::lock_guard lock(mutex_);
    const auto found = greens_.find(green);
    if (found == greens_.end()) return;
    gone = std::move(found->second);
    greens_.erase(found);
  }
  for (CUcontext context : gone.contexts) context_ended(context, gone.primary);
  primary_released(gone.device);
}

}  // namespace vhbm::interpose
