// Kernel times from CUPTI, which calls the driver on its own account: what it does on the thread
// that asks it is none of the application's work, and is not taken for it. Locking: the source's.
#pragma once

#include "interpose/hook_scope.h"
#include "runtime/cupti/cupti_kernel_times.h"

namespace vhbm::interpose {

class KernelTimesBehindHooks final : public KernelTimes {
 public:
  [[nodiscard]] Status start() override {
    const HookScope behind;
    return cupti_.start();
  }
  void take(std::vector<KernelSpan>& spans) override {
    const HookScope behind;
    cupti_.take(spans);
  }
  [[nodiscard]] std::uint64_t lost() const override { return cupti_.lost(); }
  [[nodiscard]] Status stop() override {
    const HookScope behind;
    return cupti_.stop();
  }

 private:
  CuptiKernelTimes cupti_;
};

}  // namespace vhbm::interpose
