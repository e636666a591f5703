// The background load: a thread that keeps one stream supplied with kernels.
#include "gpu_work.h"

namespace vmm_probe {

Busy::Busy(Probe& probe, With with) : stop_(probe) {
  const CUfunction kernel =
      probe.kernel(with == With::long_kernel ? "spin" : "read_by_loads");  // or Skipped, here
  if (with == With::short_kernels)
    data_ = std::make_unique<Buffer>(probe, Place::hbm, 256_MiB, 64_MiB);
  const CUdeviceptr data = data_ ? data_->address() : 0;
  CUdeviceptr sum = 0;
  must(cu.cuMemAlloc_v2(&sum, 256), "cuMemAlloc");
  const unsigned blocks = probe.multiprocessors() * (with == With::long_kernel ? 1 : 4);
  feeder_ = std::thread([this, &probe, kernel, data, sum, blocks, with] {
    try {
      must(cu.cuCtxSetCurrent(probe.context()), "cuCtxSetCurrent");
      std::vector<std::unique_ptr<Event>> ends;
      for (int i = 0; i < 4; ++i) ends.push_back(std::make_unique<Event>(CU_EVENT_DISABLE_TIMING));
      for (std::size_t turn = 0; !done_; ++turn) {
        // At most four pieces of work are queued, so that the end comes soon after `done_`.
        if (turn >= 4) must(cu.cuEventSynchronize(*ends[turn % 4]), "cuEventSynchronize");
        if (with == With::long_kernel) {
          launch(kernel, blocks, 32, stream_, stop_.address(), std::uint64_t{50'000'000});
        } else {
          launch(kernel, blocks, 256, stream_, data, std::uint64_t{256_MiB / 16}, sum);
        }
        must(cu.cuEventRecord(*ends[turn % 4], stream_), "cuEventRecord");
        running_ = true;
      }
      stop_.raise();
      stream_.wait();
    } catch (const Failure& failure) {
      trouble_ = failure.what();
    }
    cu.cuMemFree_v2(sum);
    running_ = true;
  });
  while (!running_) std::this_thread::yield();
}

Busy::~Busy() {
  end();
}

std::string Busy::end() {
  done_ = true;
  stop_.raise();
  if (feeder_.joinable()) feeder_.join();
  return trouble_;
}

}  // namespace vmm_probe
