// When kernels ran on the GPU, for whoever asks: a source of spans that is switched on and off. It
// is asked for on request only, since it costs the process a profiler. Locking: all functions may
// be called from any thread, one at a time.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/status.h"

namespace vhbm {

struct KernelSpan {
  std::string_view name;  // as the compiler wrote it; for as long as the process lives
  std::uint32_t device = 0, context = 0, stream = 0;  // which stream, by the source's numbers
  std::uint32_t graph = 0;                            // 0: launched outside any
  std::int64_t begin_ns = 0, end_ns = 0;              // of CLOCK_MONOTONIC; begin <= end
};

class KernelTimes {
 public:
  virtual ~KernelTimes() = default;

  // Kernels that begin from now on are told. Harmless when that is so already.
  //   Errc::unsupported   the process can have none: do without, and say why
  //   Errc::system_error  not now: a profiler of the process has what this needs, and keeps it
  [[nodiscard]] virtual Status start() = 0;
  // Adds the kernels that ended since the last call, in no order. What comes faster than it is
  // asked for is lost, and counted. What was running at stop() may still come afterwards.
  virtual void take(std::vector<KernelSpan>& spans) = 0;
  // From start() on.
  [[nodiscard]] virtual std::uint64_t lost() const = 0;
  //   Errc::system_error  a profiler of the process took over meanwhile: kernels are missing
  [[nodiscard]] virtual Status stop() = 0;
};

}  // namespace vhbm
