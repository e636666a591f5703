#include "engine/kernel_runs.h"

#include <atomic>

#include "context.h"
#include "cost/recorder.h"
#include "engine/stream.h"
#include "machine.h"
#include "simgpu/control.h"

namespace simgpu {
namespace {

constinit std::atomic<SimgpuKernelListener> listener{nullptr};

long long nanoseconds(KernelSpan::Clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

}  // namespace

std::unique_ptr<KernelRuns> KernelRuns::begin() {
  if (listener.load(std::memory_order_relaxed) == nullptr) return nullptr;
  return std::make_unique<KernelRuns>();
}

void KernelRuns::add(const KernelWork& work, const GraphPlace& place,
                     KernelSpan::Clock::time_point begin, const Recorder* recorder) {
  runs_.push_back({work.image, work.kernel, work.grid, work.block, work.shared_bytes, place, begin,
                   KernelSpan::Clock::now(),
                   recorder == nullptr ? 0 : recorder->phases.size() - 1});
}

void KernelRuns::last_as_slept(const Recorder& recorder) {
  for (KernelSpan& run : runs_) {
    run.begin = recorder.phases[run.phase].began;
    run.end = recorder.phases[run.phase].ended;
  }
}

void KernelRuns::tell(const Stream& stream) const {
  const SimgpuKernelListener told = listener.load(std::memory_order_acquire);
  if (told == nullptr) return;
  for (const KernelSpan& run : runs_) {
    const SimgpuKernelRun one{run.kernel->name,
                              static_cast<unsigned>(stream.context->device->ordinal),
                              static_cast<unsigned>(stream.context->id),
                              static_cast<unsigned>(stream.id),
                              run.place.graph,
                              run.place.node,
                              {run.grid.x, run.grid.y, run.grid.z},
                              {run.block.x, run.block.y, run.block.z},
                              run.shared_bytes,
                              nanoseconds(run.begin),
                              nanoseconds(run.end)};
    told(&one);
  }
}

}  // namespace simgpu

extern "C" void simgpu_set_kernel_listener(SimgpuKernelListener told) {
  simgpu::listener.store(told, std::memory_order_release);
}
