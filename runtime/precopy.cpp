// Copies run as a kernel of few blocks on a stream of their own: copy engines cannot hash.
#include "runtime/precopy.h"

#include <chrono>
#include <thread>

#include "runtime/context_scope.h"

namespace vhbm {
namespace {

// A copy that takes this long is not slow but stuck.
constexpr std::chrono::seconds patience{2};

}  // namespace

bool Precopy::start(CUcontext context, const std::vector<Chunk>& chunks, PageKernels& kernels,
                    Frames& frames) {
  if (in_flight() || copier_.prepare(context) != CUDA_SUCCESS) return false;
  ContextScope scope(copier_.driver(), copier_.context());
  if (scope.result() != CUDA_SUCCESS || copier_.context() != kernels.context()) return false;
  std::vector<DeviceAddress> from, to;
  for (const Chunk& chunk : chunks) {
    if (chunk.region->copies[chunk.index].frame != nullptr || from.size() == kernels.most()) {
      continue;
    }
    Frame* frame = frames.take_idle_host(true);
    if (frame == nullptr) break;
    if (!frames.ensure_alias(frame).ok()) {
      frames.give_back(frame);
      break;
    }
    from.push_back(chunk.region->address_of(chunk.index));
    to.push_back(frame->alias);
    copies_.push_back({chunk.region, chunk.index, frame});
  }
  if (copies_.empty()) return false;
  const CUresult queued = kernels.copy(PageKernels::Lane::background, 0, from, to,
                                       frames.frame_size(), copier_.stream());
  if (queued == CUDA_SUCCESS) return true;
  // Some of it may have been queued: the frames come back when the stream is empty.
  stats_.add(Stat::driver_errors, 1);
  for (Copy& copy : copies_) copy.region = nullptr;
  return false;
}

CUresult Precopy::collect(const PageKernels& kernels, Frames& frames, const Keep& keep) {
  const CUresult landed = copier_.poll();
  if (landed != CUDA_SUCCESS) return landed;
  for (std::size_t i = 0; i < copies_.size(); ++i) {
    const Copy& copy = copies_[i];
    if (copy.region == nullptr) {
      frames.give_back(copy.to);
      continue;
    }
    keep(*copy.region, copy.index, {copy.to, kernels.result(PageKernels::Lane::background, i)});
    stats_.add(Stat::precopied_bytes, frames.frame_size().value);
  }
  copies_.clear();
  return CUDA_SUCCESS;
}

void Precopy::forget(const Region& region) {
  for (Copy& copy : copies_) {
    if (copy.region == &region) copy.region = nullptr;
  }
}

void Precopy::context_destroyed(CUcontext context, Frames& frames) {
  if (copier_.context() != context) return;
  finish(frames);
  copier_.context_destroyed(context);
}

void Precopy::finish(Frames& frames) {
  if (!in_flight()) return;
  const auto deadline = std::chrono::steady_clock::now() + patience;
  CUresult landed = copier_.poll();
  // A context that keeps failing is lost, and its work with it.
  int errors_left = 3;
  while (landed != CUDA_SUCCESS && std::chrono::steady_clock::now() < deadline) {
    if (landed != CUDA_ERROR_NOT_READY && --errors_left == 0) break;
    std::this_thread::sleep_for(std::chrono::microseconds(100));
    landed = copier_.poll();
  }
  // Frames that may still be written to are nobody's any more.
  if (landed != CUDA_ERROR_NOT_READY) {
    for (const Copy& copy : copies_) frames.give_back(copy.to);
  }
  copies_.clear();
}

}  // namespace vhbm
