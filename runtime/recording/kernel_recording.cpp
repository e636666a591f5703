#include "runtime/recording/kernel_recording.h"

#include <exception>

#include "runtime/log.h"

namespace vhbm {
namespace {

constexpr const char* no_source = "this process has no source of kernel times";

recording::Recorder::Clock::time_point time_point(std::int64_t monotonic_ns) {
  return recording::Recorder::Clock::time_point(std::chrono::nanoseconds(monotonic_ns));
}

}  // namespace

bool KernelRecording::claim(recording::Recorder::Wish& wish, recording::Recorder& into,
                            int device) {
  Told& told = told_[&into] = {};
  told.asked = true;
  if (source_ == nullptr) {
    told.why_not = no_source;
    return false;
  }
  if (into_ != nullptr && into_ != &into) {
    told.why_not = "the recording of device " + std::to_string(device_) + " has them";
    return false;
  }
  into_ = &into;
  device_ = device;
  spans_.clear();
  next_ = 0;
  contexts_.clear();
  wish.feed = [this](bool last) { return feed(last); };
  return true;
}

void KernelRecording::switch_on() {
  starts_soon_ = false;
  const Status started = source_->start();
  is_on_ = started.ok();
  if (is_on_) return;
  told_[into_].why_not = started.message();
  into_ = nullptr;
}

void KernelRecording::join(recording::Recorder::Wish& wish, recording::Recorder& into, int device) {
  const std::lock_guard lock(mutex_);
  if (claim(wish, into, device)) switch_on();
}

void KernelRecording::join_soon(recording::Recorder::Wish& wish, recording::Recorder& into,
                                int device) {
  const std::lock_guard lock(mutex_);
  starts_soon_ = claim(wish, into, device);
}

void KernelRecording::forget(const recording::Recorder& of) noexcept {
  const std::lock_guard lock(mutex_);
  told_.erase(&of);
}

void KernelRecording::leave() noexcept {
  const std::lock_guard lock(mutex_);
  if (is_on_) (void)source_->stop();
  is_on_ = false;
  into_ = nullptr;
  starts_soon_ = false;
}

KernelRecording::Told KernelRecording::told(const recording::Recorder& of) const {
  const std::lock_guard lock(mutex_);
  const auto known = told_.find(&of);
  if (known == told_.end()) return {};
  Told now = known->second;
  if (into_ == &of) now.lost = source_->lost();
  return now;
}

// True: there is more. With `last`, until there is none, and then the source is nobody's.
bool KernelRecording::feed(bool last) {
  const std::lock_guard lock(mutex_);
  if (into_ == nullptr) return false;
  if (next_ < spans_.size()) {
    hand_over();
    return true;
  }
  spans_.clear();
  next_ = 0;
  if (starts_soon_ && !last) {
    const recording::Recorder* const into = into_;
    switch_on();
    if (into_ == nullptr) log_warn("a recording goes without kernels: {}", told_[into].why_not);
    return false;
  }
  if (last && is_on_) {
    is_on_ = false;
    const Status stopped = source_->stop();
    if (!stopped.ok()) told_[into_].why_not = stopped.message();
  }
  source_->take(spans_);
  if (spans_.empty()) {
    told_[into_].lost = source_->lost();
    if (last) into_ = nullptr;
    return false;
  }
  hand_over();
  return true;
}

void KernelRecording::hand_over() {
  for (std::size_t bytes = 0; next_ < spans_.size() && bytes < bytes_at_once; ++next_) {
    const KernelSpan& span = spans_[next_];
    const std::uint64_t end = into_->time_of(time_point(span.end_ns));
    // Also what had ended before the recording began.
    if (static_cast<int>(span.device) != device_ || end == 0) continue;
    recording::kernel made;
    made.name = span.name;
    made.stream = number_of(span);
    made.begin = into_->time_of(time_point(span.begin_ns));
    made.end = end;
    bytes += made.name.size() + sizeof made;
    into_->add(recording::Source::kernels, std::move(made));
    ++told_[into_].kernels;
  }
}

// The stream's own number in the first context, which is the only one of most programs; in others
// with the context above it.
std::uint64_t KernelRecording::number_of(const KernelSpan& span) {
  const auto [context, added] = contexts_.try_emplace(span.context, contexts_.size());
  return context->second << 32 | span.stream;
}

}  // namespace vhbm
