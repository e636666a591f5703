#include "model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>

namespace vhbm::cli {
namespace {

// What a cell has been filled with so far.
struct Filling {
  double bytes = 0, resident = 0;
  std::array<double, tag_names.size()> by_tag{};

  [[nodiscard]] MapCell cell() const {
    const auto most = std::max_element(by_tag.begin(), by_tag.end()) - by_tag.begin();
    // Rounding alone makes neither nothing nor all of it.
    constexpr double least = 1e-9;
    const double share = resident / bytes;
    const double rounded = share < least       ? 0
                           : share > 1 - least ? 255
                                               : std::clamp(std::round(share * 255), 1.0, 254.0);
    return {static_cast<Tag>(most), static_cast<std::uint8_t>(rounded)};
  }
};

struct Piece {
  Tag tag;
  std::uint8_t share;
  double bytes;
};

std::vector<Piece> pieces_of(const RegionsSnapshot& regions) {
  std::vector<RegionRow> rows = regions.rows;
  std::sort(rows.begin(), rows.end(),
            [](const RegionRow& a, const RegionRow& b) { return a.base < b.base; });
  std::vector<Piece> pieces;
  for (const RegionRow& row : rows) {
    const std::vector<std::uint8_t> groups = regions.groups_of(row);
    const auto bytes = static_cast<double>(row.resident + row.host_mapped);
    if (bytes == 0) continue;
    for (const std::uint8_t share : groups) {
      pieces.push_back({row.tag, share, bytes / static_cast<double>(groups.size())});
    }
  }
  return pieces;
}

}  // namespace

const RegionsSnapshot* Model::regions_of(const Target& target) const {
  const auto found = std::find_if(regions.begin(), regions.end(), [&](const auto& one) {
    return Target{one.pid, one.device} == target;
  });
  return found == regions.end() ? nullptr : &*found;
}

ResidencyMap residency_map(const RegionsSnapshot& regions, std::size_t most_cells) {
  ResidencyMap map;
  const std::vector<Piece> pieces = pieces_of(regions);
  if (pieces.empty() || most_cells == 0) return map;
  double whole = 0, smallest = pieces.front().bytes;
  for (const Piece& piece : pieces) {
    whole += piece.bytes;
    smallest = std::min(smallest, piece.bytes);
  }
  // A multiple of the smallest piece, so that borders fall together where they can.
  std::uint64_t multiple = 1;
  while (smallest * static_cast<double>(multiple) * static_cast<double>(most_cells) < whole) {
    ++multiple;
  }
  const double cell = smallest * static_cast<double>(multiple);
  map.cell_bytes = static_cast<std::uint64_t>(cell);
  Filling filling;
  for (const Piece& piece : pieces) {
    for (double left = piece.bytes; left > 0;) {
      const double part = std::min(left, cell - filling.bytes);
      filling.bytes += part;
      filling.resident += part * piece.share / 255;
      filling.by_tag[static_cast<std::size_t>(piece.tag)] += part;
      left -= part;
      if (filling.bytes < cell) continue;
      map.cells.push_back(filling.cell());
      filling = {};
    }
  }
  if (filling.bytes > 0 && map.cells.size() < most_cells) map.cells.push_back(filling.cell());
  return map;
}

Model Collector::look(double interval) {
  Model model;
  model.directory = directory_;
  model.interval = interval;
  std::vector<std::string> unreadable;
  const auto now = RateMeter::Clock::now();
  for (StatsSnapshot& stats : read_live_stats(directory_, &unreadable)) {
    const auto rates = meter_.look(stats, now);
    model.processes.push_back({std::move(stats), rates});
  }
  model.unreadable = unreadable.size();
  model.regions = read_live_regions(directory_);
  const std::time_t time = std::time(nullptr);
  std::tm local{};
  char text[16] = "";
  if (localtime_r(&time, &local) != nullptr) std::strftime(text, sizeof text, "%H:%M:%S", &local);
  model.clock = text;
  return model;
}

}  // namespace vhbm::cli
