// What is known of the KV in one region: a mark for each granule of it that a look found in use,
// and when. Invariant: granules and views stay as they are for as long as the span lives; the marks
// are the kernel's to make and the pager's to take. Locking: find() none; the rest the owner's.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "runtime/kernels/kv_probe_request.h"
#include "runtime/kv_layouts.h"
#include "runtime/page_table.h"
#include "runtime/units.h"

namespace vhbm {

// One cache in a region: where its block 0 is. Kernels that only write tokens have one of their
// own, since what they use is not all that is used.
struct KvView {
  std::atomic<std::uint64_t> key{0};   // 0: none
  std::atomic<bool> requested{false};  // the next launch is to look
  KvWords* words = nullptr;
  KvMatch* match = nullptr;  // who looked last
  std::uint32_t caches = 1;  // at which a look looks
  bool partial = false;
  std::uint32_t looks = 0, entries = 0, strays = 0;  // of the words, as they were read last
  std::uint64_t all_looks = 0, all_entries = 0, all_strays = 0;
};

struct KvSpan {
  static constexpr std::size_t most_views = 256, marks_at_once = 8;

  DeviceAddress begin;
  Bytes size;
  std::uint32_t region = 0;
  unsigned shift = 0;  // of a granule
  std::uint8_t* marks = nullptr;
  std::vector<Epoch> marked;  // when each granule was, last; 0 is never
  Epoch looked_at = 0;        // when all that is used was looked at
  const KvLayout* layout = nullptr;
  std::atomic<bool> lives{true};
  std::array<KvView, most_views> views;
  std::vector<KvView*> made;  // of these

  [[nodiscard]] static std::size_t marks_held(std::size_t granules) {
    return (granules + marks_at_once - 1) / marks_at_once * marks_at_once;
  }
  [[nodiscard]] std::size_t marks_held() const { return marks_held(marked.size()); }

  [[nodiscard]] static std::uint64_t key_of(std::uint64_t first, bool partial) {
    return (first << 1 | (partial ? 1 : 0)) + 1;
  }
  // Hot. nullptr when there is none.
  [[nodiscard]] KvView* find(std::uint64_t key) noexcept {
    for (std::size_t i = slot_of(key), tries = 0; tries < most_views; ++tries, ++i) {
      KvView& view = views[i % most_views];
      const std::uint64_t there = view.key.load(std::memory_order_acquire);
      if (there == key) return &view;
      if (there == 0) return nullptr;
    }
    return nullptr;
  }
  // Where one of that key can be put; nullptr when there are as many as there can be.
  [[nodiscard]] KvView* vacant(std::uint64_t key) noexcept {
    for (std::size_t i = slot_of(key), tries = 0; tries < most_views; ++tries, ++i) {
      KvView& view = views[i % most_views];
      if (view.key.load(std::memory_order_relaxed) == 0) return &view;
    }
    return nullptr;
  }

 private:
  [[nodiscard]] static std::size_t slot_of(std::uint64_t key) {
    return static_cast<std::size_t>(key * 0x9e3779b97f4a7c15u >> 56);
  }
};

}  // namespace vhbm
