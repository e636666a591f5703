// What a hook stands on while it runs: which functions are the real ones, and the runtime if it
// takes part. Notices re-entry: what calls us back from behind gets libcuda's own functions and no
// runtime, so that stacked interposers cannot turn in a circle. Locking: none; hot.
#pragma once

#include <type_traits>

#include "interpose/linkage.h"
#include "interpose/session.h"

namespace vhbm::interpose {

class HookScope {
 public:
  HookScope() noexcept : linkage_(interpose::linkage()), outermost_(depth_++ == 0) {}
  ~HookScope() { --depth_; }
  HookScope(const HookScope&) = delete;
  HookScope& operator=(const HookScope&) = delete;

  // Whether there is a driver to call. Without one a hook answers CUDA_ERROR_NOT_INITIALIZED.
  [[nodiscard]] bool linked() const noexcept { return linkage_ != nullptr; }
  [[nodiscard]] const Linkage& linkage() const noexcept { return *linkage_; }
  [[nodiscard]] const Functions& real() const noexcept {
    return outermost_ ? linkage_->next : linkage_->own;
  }
  // nullptr while it has not started, and where it stands aside.
  [[nodiscard]] Runtime* runtime() const noexcept {
    return outermost_ ? Session::runtime() : nullptr;
  }
  // As runtime(), but starts it when a context is current.
  [[nodiscard]] Runtime* start() const noexcept {
    return active() ? Session::get().start(*linkage_) : nullptr;
  }
  // As start(), on the current context's device; nullptr when its memory is not paged.
  [[nodiscard]] Runtime* start_here() const noexcept {
    return active() ? Session::get().start_here(*linkage_) : nullptr;
  }
  // Not called from behind: what happens is the application's doing.
  [[nodiscard]] bool outermost() const noexcept { return outermost_; }

  // With what the driver would refuse this thread every call that needs a context: none is current,
  // or it runs a host function. Hooks that answer by themselves ask first. Requires linked().
  [[nodiscard]] CUresult refused() const noexcept;

  // The real function's answer; what a missing one would answer.
  template <typename... P>
  CUresult call(CUresult (CUDAAPI* Functions::*function)(P...),
                std::type_identity_t<P>... arguments) const {
    if (!linked()) return CUDA_ERROR_NOT_INITIALIZED;
    const auto real_function = real().*function;
    return real_function == nullptr ? CUDA_ERROR_NOT_SUPPORTED : real_function(arguments...);
  }

 private:
  [[nodiscard]] bool active() const noexcept { return outermost_ && linked(); }

  [[gnu::tls_model("initial-exec")]] static thread_local constinit int depth_;

  const Linkage* const linkage_;
  const bool outermost_;
};

}  // namespace vhbm::interpose
