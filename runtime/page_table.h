// The flat page table of the window: for each base page its chunk's state, its region, and when it
// was last used. Invariant: a state changes only by a legal move, and only under the pager's lock.
// Locking: reading and touching take none. Evidence (last use) is a word of its own beside the
// state, so that a hot touch is one plain store that can never undo a move.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "runtime/address_space.h"
#include "runtime/status.h"
#include "runtime/units.h"

namespace vhbm {

enum class PageState : std::uint8_t {
  free,
  host_mapped,
  arriving,
  resident,
  leaving,
  held,
  spilled
};

[[nodiscard]] constexpr const char* name_of(PageState state) {
  constexpr const char* names[] = {"free",    "host_mapped", "arriving", "resident",
                                   "leaving", "held",        "spilled"};
  return names[static_cast<std::size_t>(state)];
}

// The whole protocol of a chunk, roll-backs included.
[[nodiscard]] constexpr bool legal_move(PageState from, PageState to) {
  switch (from) {
    case PageState::free:
      return to == PageState::host_mapped || to == PageState::resident;
    case PageState::host_mapped:
      return to == PageState::arriving || to == PageState::spilled || to == PageState::free;
    case PageState::arriving:
      return to == PageState::resident || to == PageState::host_mapped;
    case PageState::resident:
      return to == PageState::leaving || to == PageState::held || to == PageState::free;
    case PageState::leaving:
      return to == PageState::host_mapped || to == PageState::resident;
    case PageState::held:
      return to == PageState::resident || to == PageState::free;
    case PageState::spilled:
      return to == PageState::host_mapped || to == PageState::resident || to == PageState::free;
  }
  return false;
}

// The time of a use, counted in the pager's rounds; 0 is never.
using Epoch = std::uint32_t;

class PageTable {
 public:
  PageTable() = default;
  ~PageTable();
  PageTable(const PageTable&) = delete;
  PageTable& operator=(const PageTable&) = delete;

  // Reserves the table of a window; memory is taken page by page as it is written.
  [[nodiscard]] Status reserve(Bytes window);

  static constexpr std::uint32_t no_region = 0, max_region = (1u << 28) - 1;

  [[nodiscard]] PageState state(ChunkId page) const noexcept {
    return static_cast<PageState>(entries_[page.value].where.load(std::memory_order_acquire) & 0xf);
  }
  [[nodiscard]] std::uint32_t region(ChunkId page) const noexcept {
    return entries_[page.value].where.load(std::memory_order_acquire) >> 4;
  }
  [[nodiscard]] Epoch last_use(ChunkId page) const noexcept {
    return entries_[page.value].last_use.load(std::memory_order_relaxed);
  }
  void touch(ChunkId page, Epoch now) noexcept {
    entries_[page.value].last_use.store(now, std::memory_order_relaxed);
  }

  // False, and nothing changed, when the page is not in `from` or the move is not legal.
  [[nodiscard]] bool move(ChunkId page, PageState from, PageState to) noexcept;
  // As above, from free, naming the region that the page now belongs to.
  [[nodiscard]] bool give_to(ChunkId page, std::uint32_t region, PageState to) noexcept;

 private:
  struct Entry {
    std::atomic<std::uint32_t> where;  // state in the low 4 bits, region above
    std::atomic<Epoch> last_use;
  };
  static_assert(sizeof(Entry) == 8);

  Entry* entries_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace vhbm
