// Moves are compare-and-exchange: a page that is not where the caller believes is left alone.
#include "runtime/page_table.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

namespace vhbm {

PageTable::~PageTable() {
  if (entries_ != nullptr) munmap(entries_, count_ * sizeof(Entry));
}

Status PageTable::reserve(Bytes window) {
  const std::size_t count = window.rounded_up_to(base_page).value / base_page.value;
  // A fresh anonymous mapping is all zero, which is every page free and never used.
  void* memory = mmap(nullptr, count * sizeof(Entry), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return {Errc::system_error,
            std::string("no memory for the page table: ") + std::strerror(errno)};
  }
  entries_ = static_cast<Entry*>(memory);
  count_ = count;
  return {};
}

bool PageTable::move(ChunkId page, PageState from, PageState to) noexcept {
  if (!legal_move(from, to)) return false;
  auto& where = entries_[page.value].where;
  std::uint32_t now = where.load(std::memory_order_relaxed);
  if (static_cast<PageState>(now & 0xf) != from) return false;
  const std::uint32_t region = to == PageState::free ? no_region : now >> 4;
  return where.compare_exchange_strong(now, region << 4 | static_cast<std::uint32_t>(to),
                                       std::memory_order_acq_rel);
}

bool PageTable::give_to(ChunkId page, std::uint32_t region, PageState to) noexcept {
  if (!legal_move(PageState::free, to) || region == no_region || region > max_region) return false;
  std::uint32_t now = 0;
  entries_[page.value].last_use.store(0, std::memory_order_relaxed);
  return entries_[page.value].where.compare_exchange_strong(
      now, region << 4 | static_cast<std::uint32_t>(to), std::memory_order_acq_rel);
}

}  // namespace vhbm
