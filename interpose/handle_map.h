// From a driver handle to what was learnt about it, for hot hooks: look-ups take no lock.
// Invariant: a place once taken by a handle is never given to another, so a reader that matched the
// handle cannot get another one's value; forgetting only clears the value. When all places are taken,
// new handles are not remembered, which costs evidence and nothing else.
// Locking: find() none; remember() and forget() one mutex.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

namespace vhbm::interpose {

template <typename Value, std::size_t places>
class HandleMap {
  static_assert((places & (places - 1)) == 0);

 public:
  // nullptr: unknown, or forgotten.
  [[nodiscard]] const Value* find(const void* handle) const noexcept {
    const Place* place = find_place(handle);
    return place == nullptr ? nullptr : place->value.load(std::memory_order_acquire);
  }

  // The value must outlive every reader.
  void remember(const void* handle, const Value* value) noexcept {
    std::lock_guard lock(mutex_);
    for (std::size_t i = 0, at = start(handle); i < places; ++i, at = (at + 1) % places) {
      const void* taken_by = table_[at].handle.load(std::memory_order_relaxed);
      if (taken_by != nullptr && taken_by != handle) continue;
      if (taken_by == nullptr && ++taken_ > places / 2) return;
      table_[at].value.store(value, std::memory_order_release);
      table_[at].handle.store(handle, std::memory_order_release);
      return;
    }
  }

  void forget(const void* handle) noexcept {
    if (const Place* place = find_place(handle)) {
      const_cast<Place*>(place)->value.store(nullptr, std::memory_order_release);
    }
  }
  void forget_all() noexcept {
    for (Place& place : table_) place.value.store(nullptr, std::memory_order_release);
  }

 private:
  struct Place {
    std::atomic<const void*> handle{nullptr};
    std::atomic<const Value*> value{nullptr};
  };

  static std::size_t start(const void* handle) noexcept {
    const auto bits = reinterpret_cast<std::uintptr_t>(handle) >> 4;
    return (bits * 0x9e3779b97f4a7c15ull >> 32) & (places - 1);
  }
  const Place* find_place(const void* handle) const noexcept {
    for (std::size_t i = 0, at = start(handle); i < places; ++i, at = (at + 1) % places) {
      const void* taken_by = table_[at].handle.load(std::memory_order_acquire);
      if (taken_by == handle) return &table_[at];
      if (taken_by == nullptr) return nullptr;
    }
    return nullptr;
  }

  std::mutex mutex_;
  std::size_t taken_ = 0;
  std::array<Place, places> table_{};
};

}  // namespace vhbm::interpose
