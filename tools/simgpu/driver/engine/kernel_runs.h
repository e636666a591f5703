// Which kernels ran when, for whoever listens, as a profiler does (simgpu_set_kernel_listener of
// simgpu/control.h). Where nobody does, a piece of work costs one relaxed load for it. Times are of
// the host: without a profile, and on the virtual clock, when the simulation ran the kernel; on the
// real clock, when it slept for what the kernel costs. Locking: none; one atomic word.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "engine/work.h"

namespace simgpu {

class Recorder;
class Stream;

// Whose node is executed.
struct GraphPlace {
  unsigned graph = 0;  // 0: none
  unsigned long long node = 0;
};

struct KernelSpan {
  using Clock = std::chrono::steady_clock;

  std::shared_ptr<ModuleImage> image;  // whose kernel's name is told
  const SimgpuKernel* kernel;
  SimgpuDim3 grid, block;
  unsigned shared_bytes;
  GraphPlace place;
  Clock::time_point begin, end;
  std::size_t phase;  // of the recorder's, where there is one
};

// Of one operation: the kernels that completed, in order.
class KernelRuns {
 public:
  // nullptr while nobody listens.
  static std::unique_ptr<KernelRuns> begin();

  void add(const KernelWork& work, const GraphPlace& place, KernelSpan::Clock::time_point begin,
           const Recorder* recorder);
  // They took as long as their phases did, one after another.
  void last_as_slept(const Recorder& recorder);
  void tell(const Stream& stream) const;

 private:
  std::vector<KernelSpan> runs_;
};

}  // namespace simgpu
