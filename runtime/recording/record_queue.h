// A ring of bytes between who records and who writes: the one never waits for the other. What finds
// no room is refused as a whole. Invariant: what can be taken is whole records. Locking: none; one
// thread adds at a time, and one takes.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace vhbm::recording {

class RecordQueue {
 public:
  // Of a power of two; memory is taken as it is written.
  explicit RecordQueue(std::size_t capacity) : capacity_(capacity), bytes_(new char[capacity]) {}

  // False, and nothing was added, when there is no room.
  [[nodiscard]] bool add(std::string_view record) noexcept {
    const std::size_t end = end_.load(std::memory_order_relaxed);
    if (capacity_ - (end - begin_.load(std::memory_order_acquire)) < record.size()) return false;
    const std::size_t at = end % capacity_, first = std::min(record.size(), capacity_ - at);
    record.copy(bytes_.get() + at, first);
    record.substr(first).copy(bytes_.get(), record.size() - first);
    end_.store(end + record.size(), std::memory_order_release);
    return true;
  }

  // Puts all that was added behind `bytes`.
  void take(std::string& bytes) {
    const std::size_t begin = begin_.load(std::memory_order_relaxed);
    const std::size_t size = end_.load(std::memory_order_acquire) - begin;
    const std::size_t at = begin % capacity_, first = std::min(size, capacity_ - at);
    bytes.append(bytes_.get() + at, first);
    bytes.append(bytes_.get(), size - first);
    begin_.store(begin + size, std::memory_order_release);
  }

  [[nodiscard]] bool half_full() const noexcept {
    return end_.load(std::memory_order_relaxed) - begin_.load(std::memory_order_relaxed) >=
           capacity_ / 2;
  }

 private:
  const std::size_t capacity_;
  const std::unique_ptr<char[]> bytes_;
  alignas(64) std::atomic<std::size_t> end_{0};
  alignas(64) std::atomic<std::size_t> begin_{0};
};

}  // namespace vhbm::recording
