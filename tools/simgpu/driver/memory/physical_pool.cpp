#include "memory/physical_pool.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

namespace simgpu {

namespace {

// The file is sparse: pages from its begin, far behind them the records of what was exported.
constexpr std::int64_t kRecordsBegin = std::int64_t{1} << 50;

}  // namespace

Frame::~Frame() {
  if (pool != nullptr) pool->release(extents, record >= 0);
  if (own_file >= 0) close(own_file);
  if (ipc_file >= 0) close(ipc_file);
}

int Frame::file() const {
  return pool != nullptr ? pool->file() : own_file;
}

PhysicalPool::PhysicalPool(std::size_t budget, MachineFile* machine, std::size_t place)
    : budget_pages_(budget / kPageSize),
      machine_(machine),
      place_(place),
      pages_(budget_pages_, Page::fresh),
      records_end_(kRecordsBegin) {
  file_ = memfd_create("simgpu-memory", MFD_CLOEXEC);
  if (file_ < 0 || ftruncate(file_, kRecordsBegin) != 0) pages_.clear();
}

std::size_t PhysicalPool::left() const {
  const std::size_t held = machine_ == nullptr ? used() : machine_->used(place_);
  return budget() - std::min(held, budget());
}

std::int64_t PhysicalPool::add_record(std::size_t size) {
  const std::int64_t position = records_end_;
  records_end_ += static_cast<std::int64_t>((size + 7) / 8 * 8);
  return position;
}

std::shared_ptr<Frame> PhysicalPool::allocate(std::size_t size) {
  std::size_t wanted = (size + kPageSize - 1) / kPageSize;
  if (pages_.empty() || wanted > budget_pages_ - used_pages_) return nullptr;
  if (machine_ != nullptr && !machine_->take(place_, wanted * kPageSize, budget())) return nullptr;
  auto frame = std::make_shared<Frame>();
  frame->pool = this;
  frame->size = size;
  frame->id = next_id_++;
  // First fit, whole if a gap is long enough, else in pieces: physical memory need not be
  // contiguous.
  std::size_t longest_start = 0, longest = 0;
  for (std::size_t page = 0; page < pages_.size() && longest < wanted;) {
    std::size_t end = page;
    while (end < pages_.size() && is_free(end) && end - page < wanted) ++end;
    if (end - page > longest) {
      longest = end - page;
      longest_start = page;
    }
    page = end + 1;
  }
  auto take = [&](std::size_t first, std::size_t pages) {
    poison(first, pages);
    std::fill_n(pages_.begin() + static_cast<std::ptrdiff_t>(first), pages, Page::used);
    frame->extents.push_back({first, pages});
    used_pages_ += pages;
    wanted -= pages;
  };
  if (longest >= wanted) {
    take(longest_start, wanted);
  } else {
    for (std::size_t page = 0; wanted > 0; ++page) {
      if (!is_free(page)) continue;
      std::size_t end = page;
      while (end < pages_.size() && is_free(end) && end - page < wanted) ++end;
      take(page, end - page);
      page = end - 1;
    }
  }
  peak_pages_ = std::max(peak_pages_, used_pages_);
  return frame;
}

void PhysicalPool::release(const std::vector<Extent>& extents, bool exported) {
  for (const Extent& extent : extents) {
    std::fill_n(pages_.begin() + static_cast<std::ptrdiff_t>(extent.first_page), extent.pages,
                exported ? Page::retired : Page::recycled);
    used_pages_ -= extent.pages;
    if (machine_ != nullptr) machine_->give_back(place_, extent.pages * kPageSize);
    if (exported) pages_.insert(pages_.end(), extent.pages, Page::fresh);
  }
}

// What a recycled frame holds is undefined. A pattern shows a program that counts on zeros, or on
// what was there before.
void PhysicalPool::poison(std::size_t first_page, std::size_t pages) {
  // Never destroyed: threads may still allocate while the process exits.
  static const auto& pattern = *new std::vector<unsigned char>(kPageSize, 0xcb);
  for (std::size_t page = first_page; page < first_page + pages; ++page) {
    if (pages_[page] != Page::recycled) continue;
    // Cannot fail but for want of memory, which the program would meet anyway.
    if (pwrite(file_, pattern.data(), kPageSize, static_cast<off_t>(page * kPageSize)) < 0) return;
  }
}

}  // namespace simgpu
