// Where the regions of a recording were, record by record: for displays. Locking: none.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "runtime/recording/record.h"
#include "runtime/tag.h"
#include "runtime/units.h"

namespace vhbm::replay {

class Residency {
 public:
  struct Region {
    std::uint64_t id = 0, index = 0, first_chunk = 0;
    Bytes size, chunk_size;
    Tag tag = Tag::other;
    std::vector<bool> resident;
    std::uint64_t count = 0;  // of chunks in HBM

    [[nodiscard]] double share() const {
      return resident.empty() ? 0
                              : static_cast<double>(count) / static_cast<double>(resident.size());
    }
  };
  using Sums = std::array<Bytes, tag_names.size()>;

  // True when where something is, or what it holds, is different from now on.
  bool take(const recording::Record& record);

  // By tag, in HBM and in host memory.
  [[nodiscard]] const Sums& resident() const { return resident_; }
  [[nodiscard]] const Sums& host_mapped() const { return host_mapped_; }
  // By index.
  [[nodiscard]] const std::map<std::uint64_t, Region>& regions() const { return regions_; }

 private:
  void add(const Region& region);
  void take_off(const Region& region);
  void come(const recording::region& told);
  void go(std::uint64_t index);
  void move(const std::vector<std::uint64_t>& pages, bool to_hbm);

  std::map<std::uint64_t, Region> regions_;
  std::map<std::uint64_t, std::uint64_t> by_first_;  // index, by first chunk
  Sums resident_{}, host_mapped_{};
};

}  // namespace vhbm::replay
