// Kernel times from CUPTI's activity API. CUPTI serves one client: where a profiler of the process,
// or Nsight around it, has it, that one keeps it, and start() says so. While kernels are recorded
// here, CUPTI's subscription is left free, so that a profiler that begins later finds it, takes
// over and gets all that it asked for; stop() then says so. Locking: one mutex for all calls, which
// the end of the process does not wait for.
#pragma once

#include <sys/types.h>

#include <functional>
#include <mutex>
#include <optional>

#include "runtime/cupti/cupti_library.h"
#include "runtime/kernel_times.h"

namespace vhbm {

class CuptiKernelTimes final : public KernelTimes {
 public:
  // Where CUPTI may be, best first; asked at the first start().
  using Candidates = std::function<std::vector<std::string>()>;

  explicit CuptiKernelTimes(Candidates candidates = &cupti_candidates);
  ~CuptiKernelTimes() override;
  CuptiKernelTimes(const CuptiKernelTimes&) = delete;
  CuptiKernelTimes& operator=(const CuptiKernelTimes&) = delete;

  [[nodiscard]] Status start() override;
  void take(std::vector<KernelSpan>& spans) override;
  [[nodiscard]] std::uint64_t lost() const override;
  [[nodiscard]] Status stop() override;

  // The CUPTI that start() would use: the first candidate that works with this driver, if nobody
  // else has it. It is loaded, and otherwise left alone. Errors as of start().
  [[nodiscard]] Result<CuptiLibrary> find() const;

 private:
  enum class State { off, on, ended };

  [[nodiscard]] Status switch_on();
  [[nodiscard]] Status switch_off();
  [[nodiscard]] bool in_child() const noexcept;
  static void at_exit();

  std::mutex calls_;
  const Candidates candidates_;
  const pid_t owner_;
  std::optional<CuptiLibrary> library_;
  State state_ = State::off;
};

}  // namespace vhbm
