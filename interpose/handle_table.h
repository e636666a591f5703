// From a driver's handle to a value that never moves: a fixed table of atomics, so that looking up
// takes no lock and allocates nothing. When it is full, further handles are simply not found. A
// handle that may be looked up meanwhile must not be taken: its slot could go to another one.
// Locking: readers none; writers take turns by a mutex of their own.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace vhbm::interpose {

template <typename Value, std::size_t slots>
class HandleTable {
  static_assert((slots & (slots - 1)) == 0, "a power of two");

 public:
  // Hot. nullptr when there is none.
  [[nodiscard]] const Value* find(const void* handle) const noexcept {
    for (std::size_t i = first(handle), tries = 0; tries < reach; i = (i + 1) % slots, ++tries) {
      const void* key = slots_[i].key.load(std::memory_order_acquire);
      if (key == handle) return slots_[i].value.load(std::memory_order_acquire);
      if (key == nullptr) return nullptr;
    }
    return nullptr;
  }

  // Replaces what the handle had; false when there is no room for it.
  bool put(const void* handle, const Value* value) noexcept {
    Slot* vacant = nullptr;
    for (std::size_t i = first(handle), tries = 0; tries < reach; i = (i + 1) % slots, ++tries) {
      Slot& slot = slots_[i];
      const void* key = slot.key.load(std::memory_order_relaxed);
      if (key == handle) {
        slot.value.store(value, std::memory_order_release);
        return true;
      }
      if (vacant == nullptr && (key == nullptr || key == erased())) vacant = &slot;
      if (key == nullptr) break;
    }
    if (vacant == nullptr) return false;
    vacant->value.store(value, std::memory_order_release);
    vacant->key.store(handle, std::memory_order_release);
    return true;
  }

  // What the handle had, or nullptr.
  const Value* take(const void* handle) noexcept {
    for (std::size_t i = first(handle), tries = 0; tries < reach; i = (i + 1) % slots, ++tries) {
      const void* key = slots_[i].key.load(std::memory_order_relaxed);
      if (key == nullptr) return nullptr;
      if (key != handle) continue;
      slots_[i].key.store(erased(), std::memory_order_release);
      return slots_[i].value.exchange(nullptr, std::memory_order_acq_rel);
    }
    return nullptr;
  }

  // Every handle keeps its slot, so that a reader never takes another handle's value for its own.
  void drop_values() noexcept {
    for (Slot& slot : slots_) slot.value.store(nullptr, std::memory_order_release);
  }

 private:
  struct Slot {
    std::atomic<const void*> key{nullptr};
    std::atomic<const Value*> value{nullptr};
  };
  static constexpr std::size_t reach = 32;

  static std::size_t first(const void* handle) {
    return (reinterpret_cast<std::uintptr_t>(handle) >> 3) * 0x9e3779b97f4a7c15u >> 32 &
           (slots - 1);
  }
  // A key that is no handle and ends no search.
  const void* erased() const { return &slots_; }

  std::array<Slot, slots> slots_{};
};

}  // namespace vhbm::interpose
