// The application's own physical memory: what its cuMemCreate made. Invariant: its bytes are in
// frames that belong to it or to the region that it is mapped as, or, once it is fixed, in one
// driver's handle for good. Locking: the device's lock; bytes() takes none.
#pragma once

#include <cuda.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "runtime/regions.h"
#include "runtime/units.h"

namespace vhbm {

struct Memory {
  MemoryId id;
  CUmemAllocationProp properties{};
  Bytes size;
  unsigned handles = 1;        // that the application holds
  std::vector<Frame*> frames;  // while it is neither mapped nor fixed
  Region* region = nullptr;    // that it is mapped as
  // Of a fixed one: 0 when the application has released all handles and mappings alone keep it.
  CUmemGenericAllocationHandle real = 0;
  bool fixed = false;
  std::size_t mappings = 0;  // of a fixed one

  // Neither a handle nor a mapping is left.
  [[nodiscard]] bool unused() const { return handles == 0 && region == nullptr && mappings == 0; }
};

class Memories {
 public:
  // Of one device.
  explicit Memories(CUdevice device) : next_id_(static_cast<std::uint64_t>(device) << device_bit) {}

  // The application's handle: not a value that a driver's handle has, neither a pointer nor a small
  // number, and never given out twice in a process.
  [[nodiscard]] static constexpr CUmemGenericAllocationHandle handle_of(MemoryId id) {
    return mark | id.value;
  }
  [[nodiscard]] static constexpr bool is_handle(CUmemGenericAllocationHandle handle) {
    return (handle & ~id_mask) == mark;
  }
  [[nodiscard]] static constexpr CUdevice device_of(CUmemGenericAllocationHandle handle) {
    return static_cast<CUdevice>((handle & id_mask) >> device_bit);
  }

  [[nodiscard]] Memory& add(std::unique_ptr<Memory> memory);
  // What a handle stands for that the application still holds; nullptr when it holds it not.
  [[nodiscard]] Memory* find(CUmemGenericAllocationHandle handle) const;
  // From now on its bytes are in `real` and counted as native.
  void fix(Memory& memory, CUmemGenericAllocationHandle real);
  void erase(const Memory& memory);

  // In memory that is not fixed, mapped or not.
  [[nodiscard]] Bytes bytes() const { return {bytes_.load(std::memory_order_relaxed)}; }

 private:
  // The upper bits are those of no address that a process has.
  static constexpr std::uint64_t mark = 0x7648'0000'0000'0000;
  static constexpr std::uint64_t id_mask = 0xffff'ffff'ffff;
  static constexpr unsigned device_bit = 40;

  std::unordered_map<std::uint64_t, std::unique_ptr<Memory>> by_id_;
  std::uint64_t next_id_;
  std::atomic<std::uint64_t> bytes_{0};
};

}  // namespace vhbm
