// Carves ranges out of one reserved window, first fit, and takes them back. Pure bookkeeping: no
// driver. Invariant: free ranges are disjoint and never adjacent. Locking: the owner's.
#pragma once

#include <map>
#include <optional>

#include "runtime/units.h"

namespace vhbm {

constexpr Bytes base_page = mib(2);

class AddressSpace {
 public:
  AddressSpace() = default;
  AddressSpace(DeviceAddress begin, Bytes size);

  // The lowest free range of `size` at a multiple of `alignment` (a power of two), both rounded up
  // to base pages; nullopt when no free range is large enough.
  [[nodiscard]] std::optional<DeviceAddress> carve(Bytes size, Bytes alignment);
  // The range of `size`, rounded up to base pages, that begins at `begin`; false when some of it is
  // not free.
  [[nodiscard]] bool carve_at(DeviceAddress begin, Bytes size);
  // `size` as it was carved. The range may be carved again at once.
  void give_back(DeviceAddress begin, Bytes size);

  [[nodiscard]] DeviceAddress begin() const { return begin_; }
  [[nodiscard]] Bytes size() const { return size_; }
  [[nodiscard]] Bytes carved() const { return carved_; }
  [[nodiscard]] std::size_t free_ranges() const { return free_.size(); }

 private:
  using Free = std::map<std::uint64_t, std::uint64_t>;  // begin -> size
  void take(Free::iterator range, std::uint64_t begin, Bytes size);

  DeviceAddress begin_;
  Bytes size_, carved_;
  Free free_;
};

}  // namespace vhbm
