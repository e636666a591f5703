#include "memory/physical_pool.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace simgpu {

Frame::~Frame() {
  if (pool != nullptr) pool->release(extents);
}

PhysicalPool::PhysicalPool(std::size_t budget) : pages_(budget / kPageSize, Page::fresh) {
  file_ = memfd_create("simgpu-memory", MFD_CLOEXEC);
  const std::size_t bytes = pages_.size() * kPageSize;
  view_ = nullptr;
  if (file_ < 0 || ftruncate(file_, static_cast<off_t>(bytes)) != 0) pages_.clear();
  if (pages_.empty()) return;
  void* view = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file_, 0);
  if (view == MAP_FAILED) pages_.clear();
  view_ = static_cast<unsigned char*>(view);
}

std::shared_ptr<Frame> PhysicalPool::allocate(std::size_t size) {
  std::size_t wanted = (size + kPageSize - 1) / kPageSize;
  if (wanted > pages_.size() - used_pages_) return nullptr;
  auto frame = std::make_shared<Frame>();
  frame->pool = this;
  frame->size = size;
  frame->id = next_id_++;
  // First fit, whole if a gap is long enough, else in pieces: physical memory need not be
  // contiguous.
  std::size_t longest_start = 0, longest = 0;
  for (std::size_t page = 0; page < pages_.size() && longest < wanted;) {
    std::size_t end = page;
    while (end < pages_.size() && pages_[end] != Page::used && end - page < wanted) ++end;
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
      if (pages_[page] == Page::used) continue;
      std::size_t end = page;
      while (end < pages_.size() && pages_[end] != Page::used && end - page < wanted) ++end;
      take(page, end - page);
      page = end - 1;
    }
  }
  peak_pages_ = std::max(peak_pages_, used_pages_);
  return frame;
}

void PhysicalPool::release(const std::vector<Extent>& extents) {
  for (const Extent& extent : extents) {
    std::fill_n(pages_.begin() + static_cast<std::ptrdiff_t>(extent.first_page), extent.pages,
                Page::recycled);
    used_pages_ -= extent.pages;
  }
}

// What a recycled frame holds is undefined. A pattern shows a program that counts on zeros, or on
// what was there before.
void PhysicalPool::poison(std::size_t first_page, std::size_t pages) {
  for (std::size_t page = first_page; page < first_page + pages; ++page) {
    if (pages_[page] == Page::recycled) std::memset(view_ + page * kPageSize, 0xcb, kPageSize);
  }
}

}  // namespace simgpu
