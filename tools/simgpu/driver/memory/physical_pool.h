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

#include "memory/machine_file.h"

namespace simgpu {

constexpr std::size_t kPageSize = std::size_t{2} << 20;

class PhysicalPool;

// Pages of a frame that follow each other in the pool's file.
struct Extent {
  std::size_t first_page, pages;
};

struct Frame {
  ~Frame();
  int file() const;  // of the pages

  PhysicalPool* pool = nullptr;  // null for another process's memory, whose file is own_file
  int own_file = -1;
  std::int64_t record = -1;  // in the file, once exported
  int ipc_file = -1;         // what handles of cuIpcGetMemHandle lead others to
  std::vector<Extent> extents;
  std::size_t size = 0;
  CUmemAllocationProp properties{};
  unsigned handles = 0;  // references the application holds; at 0 only mappings keep the frame
  unsigned long long id = 0;
};

class PhysicalPool {
 public:
  // Of a GPU that `machine`, unless it is null, shares with others, at that place in it.
  explicit PhysicalPool(std::size_t budget, MachineFile* machine = nullptr, std::size_t place = 0);

  // Null when the budget does not hold `size` more bytes.
  std::shared_ptr<Frame> allocate(std::size_t size);

  std::size_t budget() const { return budget_pages_ * kPageSize; }
  std::size_t used() const { return used_pages_ * kPageSize; }
  // Of the budget, with what other processes hold.
  std::size_t left() const;
  std::size_t peak() const { return peak_pages_ * kPageSize; }
  int file() const { return file_; }

  // Room for `size` bytes in the file beside the pages; its position.
  std::int64_t add_record(std::size_t size);

 private:
  friend struct Frame;
  enum class Page : std::uint8_t { fresh, used, recycled, retired };

  // Exported pages retire: others may use them still. Fresh ones take their place.
  void release(const std::vector<Extent>& extents, bool exported);
  bool is_free(std::size_t page) const {
    return pages_[page] == Page::fresh || pages_[page] == Page::recycled;
  }
  void poison(std::size_t first_page, std::size_t pages);

  int file_;
  const std::size_t budget_pages_;
  MachineFile* const machine_;
  const std::size_t place_;
  std::vector<Page> pages_;
  std::int64_t records_end_;
  std::size_t used_pages_ = 0, peak_pages_ = 0;
  unsigned long long next_id_ = 1;
};

}  // namespace simgpu
