#include "activity_buffers.h"

#include <ctime>
#include <limits>
#include <new>
#include <thread>
#include <utility>

namespace simgpu::cupti {
namespace {

std::uint64_t nanoseconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(now.tv_nsec);
}

// By the reading that took the least time of a few.
std::uint64_t realtime_ahead() {
  std::uint64_t ahead = 0, narrowest = std::numeric_limits<std::uint64_t>::max();
  for (int i = 0; i < 8; ++i) {
    const std::uint64_t before = nanoseconds(CLOCK_MONOTONIC);
    const std::uint64_t realtime = nanoseconds(CLOCK_REALTIME);
    const std::uint64_t took = nanoseconds(CLOCK_MONOTONIC) - before;
    if (took >= narrowest) continue;
    narrowest = took;
    ahead = realtime - before - took / 2;
  }
  return ahead;
}

}  // namespace

ActivityBuffers& ActivityBuffers::get() {
  static ActivityBuffers* const buffers = new ActivityBuffers;
  return *buffers;
}

ActivityBuffers::ActivityBuffers() : realtime_ahead_(realtime_ahead()) {
  std::thread([this] { deliver_full(); }).detach();
}

std::uint64_t ActivityBuffers::now() const {
  return nanoseconds(CLOCK_MONOTONIC) + realtime_ahead_;
}

void ActivityBuffers::set_callbacks(CUpti_BuffersCallbackRequestFunc requested,
                                    CUpti_BuffersCallbackCompleteFunc completed) {
  std::lock_guard lock(mutex_);
  requested_ = requested;
  completed_ = completed;
}

bool ActivityBuffers::has_callbacks() {
  std::lock_guard lock(mutex_);
  return completed_ != nullptr;
}

void ActivityBuffers::enable(CUpti_ActivityKind kind, bool enabled) {
  std::lock_guard lock(mutex_);
  enabled ? (void)enabled_.insert(kind) : (void)enabled_.erase(kind);
}

// Without the lock: the client is asked.
ActivityBuffers::Buffer ActivityBuffers::asked_for() {
  CUpti_BuffersCallbackRequestFunc ask = nullptr;
  {
    std::lock_guard lock(mutex_);
    ask = requested_;
  }
  Buffer made;
  if (ask == nullptr) return made;
  std::size_t most_records = 0;
  ask(&made.bytes, &made.size, &most_records);
  made.left = most_records == 0 ? std::numeric_limits<std::size_t>::max() : most_records;
  return made;
}

void ActivityBuffers::record(const SimgpuKernelRun& run) {
  std::unique_lock lock(mutex_);
  if (enabled_.empty()) return;
  if (!current_.fits()) {
    if (current_.bytes != nullptr) {
      full_.push_back(current_);
      current_ = {};
      has_full_.notify_one();
    }
    lock.unlock();
    const Buffer another = asked_for();
    lock.lock();
    if (current_.bytes == nullptr) {
      current_ = another;
    } else if (another.bytes != nullptr) {
      full_.push_back(another);  // some other stream was quicker
    }
    if (!current_.fits()) {
      ++dropped_;
      return;
    }
  }
  auto* const record = new (current_.bytes + current_.used) CUpti_ActivityKernel10{};
  record->kind = *enabled_.rbegin();
  record->start = static_cast<std::uint64_t>(run.begin_ns) + realtime_ahead_;
  record->end = static_cast<std::uint64_t>(run.end_ns) + realtime_ahead_;
  record->completed = record->end;
  record->deviceId = run.device;
  record->contextId = run.context;
  record->streamId = run.stream;
  record->gridX = static_cast<std::int32_t>(run.grid[0]);
  record->gridY = static_cast<std::int32_t>(run.grid[1]);
  record->gridZ = static_cast<std::int32_t>(run.grid[2]);
  record->blockX = static_cast<std::int32_t>(run.block[0]);
  record->blockY = static_cast<std::int32_t>(run.block[1]);
  record->blockZ = static_cast<std::int32_t>(run.block[2]);
  record->dynamicSharedMemory = static_cast<std::int32_t>(run.shared_bytes);
  record->correlationId = ++correlation_;
  record->gridId = record->correlationId;
  record->name = names_.emplace(run.name).first->c_str();
  record->graphId = run.graph;
  record->graphNodeId = run.graph_node;
  current_.used += record_size;
  --current_.left;
}

void ActivityBuffers::complete(const Buffer& buffer) {
  CUpti_BuffersCallbackCompleteFunc completed = nullptr;
  {
    std::lock_guard lock(mutex_);
    completed = completed_;
  }
  completed(nullptr, 0, buffer.bytes, buffer.size, buffer.used);
  std::lock_guard lock(mutex_);
  --handing_back_;
  has_full_.notify_all();
}

void ActivityBuffers::deliver_full() {
  std::unique_lock lock(mutex_);
  for (;;) {
    has_full_.wait(lock, [this] { return !full_.empty(); });
    const Buffer buffer = full_.front();
    full_.pop_front();
    ++handing_back_;
    lock.unlock();
    complete(buffer);
    lock.lock();
  }
}

void ActivityBuffers::flush(bool all) {
  std::unique_lock lock(mutex_);
  if (current_.bytes != nullptr && (all || current_.used != 0)) {
    full_.push_back(current_);
    current_ = {};
  }
  while (!full_.empty()) {
    const Buffer buffer = full_.front();
    full_.pop_front();
    ++handing_back_;
    lock.unlock();
    complete(buffer);
    lock.lock();
  }
  // "This is a blocking call": what the library's thread hands back meanwhile, too.
  has_full_.wait(lock, [this] { return handing_back_ == 0; });
}

std::size_t ActivityBuffers::dropped() {
  std::lock_guard lock(mutex_);
  return std::exchange(dropped_, 0);
}

}  // namespace simgpu::cupti
