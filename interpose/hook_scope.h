// The first object of every hook: whether vHBM takes part in this call at all. It does not before
// cuInit, in a forked child, at the process's end, nor when the driver or another preloaded library
// calls a hook from inside one.
#pragma once

#include "interpose/process.h"

namespace vhbm::interpose {

class HookScope {
 public:
  HookScope() noexcept : outermost_(depth_++ == 0) {}
  ~HookScope() { --depth_; }
  HookScope(const HookScope&) = delete;
  HookScope& operator=(const HookScope&) = delete;

  [[nodiscard]] bool entered() const noexcept { return outermost_ && Process::instance().active(); }

 private:
  [[gnu::tls_model("initial-exec")]] static inline thread_local constinit int depth_ = 0;
  bool outermost_;
};

}  // namespace vhbm::interpose
