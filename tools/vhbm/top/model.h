// What `vhbm top` shows, as plain values: taken from the shared files by Collector, drawn by
// layout.h. Nothing here knows a terminal.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "rate_meter.h"
#include "runtime/region_table.h"
#include "runtime/stats_reader.h"

namespace vhbm::cli {

// One device of one process.
struct Target {
  pid_t pid = 0;
  int device = 0;
  bool operator==(const Target&) const = default;
};

struct ProcessLine {
  StatsSnapshot stats;
  std::optional<Rates> rates;  // none at the first look

  [[nodiscard]] Target target() const { return {stats.pid, stats.device}; }
};

struct Model {
  std::vector<ProcessLine> processes;
  std::vector<RegionsSnapshot> regions;
  std::string directory;       // that was looked into
  std::size_t unreadable = 0;  // files of another version of vHBM
  std::string clock;           // "21:14:03"
  double interval = 1;         // seconds between two looks

  [[nodiscard]] const RegionsSnapshot* regions_of(const Target& target) const;
};

// One cell of the map: a stretch of one process's regions.
struct MapCell {
  Tag tag = Tag::other;    // of most of it
  std::uint8_t share = 0;  // that is in HBM: 0 is nothing, 255 all
  bool operator==(const MapCell&) const = default;
};
struct ResidencyMap {
  std::uint64_t cell_bytes = 0;
  std::vector<MapCell> cells;
};
// All regions in the order of their addresses, one after the other, in at most so many cells.
[[nodiscard]] ResidencyMap residency_map(const RegionsSnapshot& regions, std::size_t most_cells);

// Looks again and again, so that it can tell rates.
class Collector {
 public:
  explicit Collector(std::string directory) : directory_(std::move(directory)) {}
  [[nodiscard]] Model look(double interval);

 private:
  const std::string directory_;
  RateMeter meter_;
};

}  // namespace vhbm::cli
