#include "map_layout.h"

#include <algorithm>
#include <array>
#include <string>

#include "quantity.h"

namespace vhbm::cli {
namespace {

struct TagLook {
  Tag tag;
  Ink ink;
  char32_t in_hbm, in_host;  // where there is no colour, or no UTF-8
};
constexpr TagLook looks[] = {
    {Tag::weights, Ink::weights, U'W', U'w'},
    {Tag::kv, Ink::kv, U'K', U'k'},
    {Tag::workspace, Ink::workspace, U'S', U's'},
    {Tag::other, Ink::other, U'O', U'o'},
};
static_assert(std::size(looks) == tag_names.size());

const TagLook& look_of(Tag tag) {
  return *std::find_if(std::begin(looks), std::end(looks),
                       [&](const TagLook& look) { return look.tag == tag; });
}

char32_t shade_of(std::uint8_t share) {
  if (share == 0) return U'░';
  if (share == 255) return U'█';
  return share < 128 ? U'▒' : U'▓';
}

void put_legend(Grid& grid, int row, bool letters) {
  int column = 0;
  for (const TagLook& look : looks) {
    if (letters) {
      grid.put(row, column++, look.in_hbm, look.ink);
      grid.put(row, column++, look.in_host, look.ink);
    } else {
      grid.put(row, column++, U'█', look.ink);
    }
    column = grid.put(row, column + 1, name_of(look.tag)) + 2;
  }
  grid.put(
      row, column,
      letters ? "capital: at least half of it in HBM" : "█ in HBM  ▓▒ partly  ░ in host memory",
      Ink::faint);
}

struct TagTotal {
  std::uint64_t regions = 0, resident = 0, host_mapped = 0;
};

// How much of each tag is where, for those that there are.
void put_tags(Grid& grid, int row, int rows, const RegionsSnapshot& regions) {
  std::array<TagTotal, tag_names.size()> totals;
  for (const RegionRow& region : regions.rows) {
    TagTotal& total = totals[static_cast<std::size_t>(region.tag)];
    ++total.regions;
    total.resident += region.resident;
    total.host_mapped += region.host_mapped;
  }
  constexpr int columns[] = {18, 30, 42};  // where they end
  if (rows < 2 || grid.width() < columns[2]) return;
  grid.put(row, 0, "TAG", Ink::heading);
  grid.put_right(row, columns[0], "REGIONS", Ink::heading);
  grid.put_right(row, columns[1], "IN HBM", Ink::heading);
  grid.put_right(row, columns[2], "IN HOST", Ink::heading);
  const int end = row + rows;
  for (const TagLook& look : looks) {
    const TagTotal& total = totals[static_cast<std::size_t>(look.tag)];
    if (total.regions == 0 || ++row >= end) continue;
    grid.put(row, 0, name_of(look.tag), look.ink);
    grid.put_right(row, columns[0], std::to_string(total.regions));
    grid.put_right(row, columns[1], bytes_text(total.resident));
    grid.put_right(row, columns[2], bytes_text(total.host_mapped));
  }
}

}  // namespace

void put_map(Grid& grid, const MapPlace& place, const Model& model, const ProcessLine& process) {
  const RegionsSnapshot* regions = model.regions_of(process.target());
  std::string title = "Process " + std::to_string(process.stats.pid);
  const int rows = place.rows - 2;
  if (regions == nullptr || regions->rows.empty()) {
    grid.put(place.first_row, 0, title + " holds no regions", Ink::heading);
    return;
  }
  const ResidencyMap map = residency_map(
      *regions, static_cast<std::size_t>(rows) * static_cast<std::size_t>(grid.width()));
  const bool letters = place.colourless || grid.ascii();
  int column = grid.put(place.first_row, 0, title, Ink::heading);
  column = grid.put(place.first_row, column,
                    ": " + bytes_text(process.stats[Stat::resident_bytes]) + " in HBM, " +
                        bytes_text(process.stats[Stat::host_mapped_bytes]) + " in host memory");
  grid.put(place.first_row, column, "; a cell is " + bytes_text(map.cell_bytes), Ink::faint);
  put_legend(grid, place.first_row + 1, letters);
  const auto width = static_cast<std::size_t>(grid.width());
  for (std::size_t i = 0; i < map.cells.size(); ++i) {
    const MapCell& cell = map.cells[i];
    const TagLook& look = look_of(cell.tag);
    const char32_t letter = cell.share >= 128 ? look.in_hbm : look.in_host;
    grid.put(place.first_row + 2 + static_cast<int>(i / width), static_cast<int>(i % width),
             letters ? letter : shade_of(cell.share), look.ink);
  }
  const int below = 2 + static_cast<int>((map.cells.size() + width - 1) / width) + 1;
  put_tags(grid, place.first_row + below, place.rows - below, *regions);
}

}  // namespace vhbm::cli
