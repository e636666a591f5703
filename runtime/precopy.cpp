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

Frame* Precopy::destination(const Chunk& chunk, Frames& frames) {
  Frame* const from = chunk.region->frames[chunk.index];
  Frame* to = nullptr;
  if (!frames.ensure_alias(from).ok()) return nullptr;
  if (from->tier == Tier::hbm) {
    to = frames.take_idle_host(true);
  } else if (frames.available(Tier::hbm) > frames.copies(Tier::hbm)) {
    // Without taking away what another chunk's bytes have just been copied to.
    if (const auto taken = frames.take(Tier::hbm); taken.ok()) to = *taken;
  }
  if (to == nullptr || frames.ensure_alias(to).ok()) return to;
  frames.give_back(to);
  return nullptr;
}

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
    Frame* frame = destination(chunk, frames);
    if (frame == nullptr) continue;
    from.push_back(chunk.region->frames[chunk.index]->alias);
    to.push_back(frame->alias);
    copies_.push_back({chunk.region, chunk.index, {frame, {}}});
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

void Precopy::start_checks(PageKernels& kernels, Frames& frames) {
  if (unchecked_.empty()) return;
  std::swap(checks_, unchecked_);
  std::vector<DeviceAddress> left;
  for (const Copy& check : checks_) left.push_back(check.copy.frame->alias);
  ContextScope scope(copier_.driver(), copier_.context());
  const CUresult queued =
      kernels.hash(PageKernels::Lane::background, 0, left, frames.frame_size(), copier_.stream());
  if (queued == CUDA_SUCCESS) return;
  stats_.add(Stat::driver_errors, 1);
  // What cannot be told is not trusted.
  for (Copy& check : checks_) check.region = nullptr;
}

CUresult Precopy::collect(const PageKernels& kernels, Frames& frames, const Outcome& to) {
  const CUresult landed = copier_.poll();
  if (landed != CUDA_SUCCESS) return landed;
  const auto give = [&](const Copy& copy, CleanCopy what, const Take& take) {
    if (copy.region == nullptr) {
      frames.give_back(what.frame);
    } else {
      take(*copy.region, copy.index, what);
    }
  };
  for (std::size_t i = 0; i < copies_.size(); ++i) {
    const Copy& copy = copies_[i];
    give(copy, {copy.copy.frame, kernels.result(PageKernels::Lane::background, i)}, to.copied);
    if (copy.copy.frame->tier == Tier::host) {
      stats_.add(Stat::precopied_bytes, frames.frame_size().value);
    }
  }
  copies_.clear();
  for (std::size_t i = 0; i < checks_.size(); ++i) {
    const Copy& check = checks_[i];
    const bool kept = kernels.result(PageKernels::Lane::background, i) == check.copy.hash;
    give(check, check.copy, kept ? to.kept : to.broken);
  }
  checks_.clear();
  give_back_unread(frames);
  return CUDA_SUCCESS;
}

void Precopy::give_back(Frame* frame, Frames& frames) {
  if (in_flight()) {
    unread_later_.push_back(frame);
  } else {
    frames.give_back(frame);
  }
}

void Precopy::give_back_unread(Frames& frames) {
  for (Frame* frame : unread_later_) frames.give_back(frame);
  unread_later_.clear();
}

void Precopy::forget(const Region& region) {
  for (std::vector<Copy>* copies : {&copies_, &unchecked_, &checks_}) {
    for (Copy& copy : *copies) {
      if (copy.region == &region) copy.region = nullptr;
    }
  }
}

void Precopy::drop(std::vector<Copy>& copies, Frames& frames) {
  for (const Copy& copy : copies) frames.give_back(copy.copy.frame);
  copies.clear();
}

void Precopy::context_destroyed(CUcontext context, Frames& frames) {
  if (copier_.context() != context) return;
  finish(frames);
  copier_.context_destroyed(context);
}

void Precopy::finish(Frames& frames) {
  drop(unchecked_, frames);
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
    drop(copies_, frames);
    drop(checks_, frames);
    give_back_unread(frames);
  }
  unread_later_.clear();
  copies_.clear();
  checks_.clear();
}

}  // namespace vhbm
