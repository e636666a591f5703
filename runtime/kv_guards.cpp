#include "runtime/kv_guards.h"

#include <atomic>

namespace vhbm {

void KvGuards::begin(std::uint32_t* words, std::size_t count) {
  words_ = words;
  count_ = count;
  // So that giving one back never has to make room.
  free_.reserve(count);
}

void KvGuards::set(std::uint32_t index, std::uint32_t value) const noexcept {
  std::atomic_ref(words_[index]).store(value, std::memory_order_seq_cst);
}

std::optional<KvGuard> KvGuards::watch(std::uint64_t base, std::uint64_t size) {
  if (words_ == nullptr) return std::nullopt;
  const auto as_guard = [&](const Piece& piece) {
    return KvGuard{reinterpret_cast<std::uint64_t>(words_ + piece.index), piece.stamp};
  };
  if (const auto found = pieces_.find(base); found != pieces_.end()) {
    if (found->second.size == size) return as_guard(found->second);
    goes(base, 1);  // the same address, but another piece
  }
  if (next_stamp_ == 0 || (free_.empty() && used_ == count_)) return std::nullopt;
  Piece made{size, 0, next_stamp_++};
  if (free_.empty()) {
    made.index = static_cast<std::uint32_t>(used_++);
  } else {
    made.index = free_.back();
    free_.pop_back();
  }
  pieces_.emplace(base, made);
  set(made.index, made.stamp);
  return as_guard(made);
}

void KvGuards::goes(std::uint64_t base, std::uint64_t size) noexcept {
  if (words_ == nullptr) return;
  auto next = pieces_.upper_bound(base);
  if (next != pieces_.begin()) --next;
  while (next != pieces_.end() && next->first < base + size) {
    if (next->first + next->second.size <= base) {
      ++next;
      continue;
    }
    set(next->second.index, 0);
    free_.push_back(next->second.index);
    next = pieces_.erase(next);
  }
}

}  // namespace vhbm
