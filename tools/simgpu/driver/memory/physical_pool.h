// Physical memory of one kind on one node: a GPU's HBM, or the host memory the driver may
// page-lock. A memfd of a fixed number of 2 MiB pages: a budget that nothing exceeds. A Frame is
// one physical allocation; it lives while a handle or a mapping refers to it. Locking: the caller
// holds the machine's lock.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace simgpu {

constexpr std::size_t kPageSize = std::size_t{2} << 20;

class PhysicalPool;

// Pages of a frame that follow each other in the pool's file.
struct Extent {
  std::size_t first_page, pages;
};

struct Frame {
  ~Frame();

  PhysicalPool* pool = nullptr;
  std::vector<Extent> extents;
  std::size_t size = 0;
  CUmemAllocationProp properties{};
  unsigned handles = 0;  // references the application holds; at 0 only mappings keep the frame
  unsigned long long id = 0;
};

class PhysicalPool {
 public:
  explicit PhysicalPool(std::size_t budget);

  // Null when the budget does not hold `size` more bytes.
  std::shared_ptr<Frame> allocate(std::size_t size);

  std::size_t budget() const { return pages_.size() * kPageSize; }
  std::size_t used() const { return used_pages_ * kPageSize; }
  std::size_t peak() const { return peak_pages_ * kPageSize; }
  int file() const { return file_; }

 private:
  friend struct Frame;
  enum class Page : std::uint8_t { fresh, used, recycled };

  void release(const std::vector<Extent>& extents);
  void poison(std::size_t first_page, std::size_t pages);

  int file_;
  unsigned char* view_;  // the whole pool, for the driver's own writes
  std::vector<Page> pages_;
  std::size_t used_pages_ = 0, peak_pages_ = 0;
  unsigned long long next_id_ = 1;
};

}  // namespace simgpu
