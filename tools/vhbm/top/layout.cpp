// The columns of the table are a table themselves; so are the parts of the screen, from top to
// bottom: totals, processes, residency map, keys.
#include "layout.h"

#include <algorithm>
#include <cstdio>

#include "map_layout.h"
#include "quantity.h"

namespace vhbm::cli {
namespace {

constexpr int least_command = 8, bar_width = 10;

// A bar of so many cells, without words.
void put_bar(Grid& grid, int row, int column, int cells, double share, Ink ink) {
  share = std::clamp(share, 0.0, 1.0);
  int full = static_cast<int>(share * cells);
  if (share > 0) full = std::max(full, 1);
  if (share < 1) full = std::min(full, cells - 1);
  for (int i = 0; i < cells; ++i) {
    const bool on = i < full;
    grid.put(row, column + i, grid.ascii() ? (on ? U'#' : U'.') : (on ? U'█' : U'·'),
             on ? ink : Ink::faint);
  }
}

double share(double part, double whole) {
  return whole <= 0 ? 0 : part / whole;
}

double share(const StatsSnapshot& stats, Stat part, Stat whole) {
  return share(static_cast<double>(stats[part]), static_cast<double>(stats[whole]));
}

Ink stall_ink(double stall) {
  return stall >= 0.1 ? Ink::bad : stall >= 0.02 ? Ink::warning : Ink::plain;
}

std::string percent_text(double share) {
  char text[16];
  std::snprintf(text, sizeof text, "%.1f%%", share * 100);
  return text;
}

struct Column {
  const char* title;
  int width;
  int rank;  // the higher, the sooner it is left out
  // Draws into [column, column + width).
  void (*put)(Grid& grid, int row, int column, int width, const ProcessLine& line);
};

void put_rate(Grid& grid, int row, int end, double rate) {
  grid.put_right(row, end, rate_text(rate), rate > 0 ? Ink::plain : Ink::faint);
}

constexpr Column columns[] = {
    {"PID", 7, 0,
     [](Grid& grid, int row, int column, int width, const ProcessLine& line) {
       grid.put_right(row, column + width, std::to_string(line.stats.pid), Ink::strong);
     }},
    {"GPU", 3, 7,
     [](Grid& grid, int row, int column, int width, const ProcessLine& line) {
       grid.put_right(row, column + width, std::to_string(line.stats.device));
     }},
    {"PAGING", 6, 4,
     [](Grid& grid, int row, int column, int, const ProcessLine& line) {
       if (line.stats.frozen != FreezeCause::none) {
         grid.put(row, column, "frozen", Ink::bad);
       } else if (line.stats[Stat::waits_for_turn] != 0) {
         grid.put(row, column, "waits", Ink::warning);
       } else if (line.stats[Stat::asleep] != 0) {
         grid.put(row, column, "asleep", Ink::warning);
       } else {
         grid.put(row, column, "on", Ink::good);
       }
     }},
    {"", bar_width, 5,
     [](Grid& grid, int row, int column, int width, const ProcessLine& line) {
       put_bar(grid, row, column, width, share(line.stats, Stat::hbm_bytes, Stat::hbm_limit),
               Ink::hbm);
     }},
    {"HBM", 9, 1,
     [](Grid& grid, int row, int column, int width, const ProcessLine& line) {
       grid.put_right(row, column + width, bytes_text(line.stats[Stat::hbm_bytes]));
     }},
    {"", bar_width, 8,
     [](Grid& grid, int row, int column, int width, const ProcessLine& line) {
       put_bar(grid, row, column, width, share(line.stats, Stat::host_bytes, Stat::host_limit),
               Ink::host);
     }},
    {"HOST", 9, 2,
     [](Grid& grid, int row, int column, int width, const ProcessLine& line) {
       grid.put_right(row, column + width, bytes_text(line.stats[Stat::host_bytes]));
     }},
    {"TO HBM", 10, 5,
     [](Grid& grid, int row, int column, int width, const ProcessLine& line) {
       if (line.rates) put_rate(grid, row, column + width, line.rates->promoted_bytes);
     }},
    {"TO HOST", 10, 6,
     [](Grid& grid, int row, int column, int width, const ProcessLine& line) {
       if (line.rates) put_rate(grid, row, column + width, line.rates->evicted_bytes);
     }},
    {"STALL", 6, 3,
     [](Grid& grid, int row, int column, int width, const ProcessLine& line) {
       if (!line.rates) return;
       grid.put_right(row, column + width, percent_text(line.rates->stall_share),
                      stall_ink(line.rates->stall_share));
     }},
    {"P99", 8, 7,
     [](Grid& grid, int row, int column, int width, const ProcessLine& line) {
       grid.put_right(row, column + width, duration_text(line.stats[Stat::stall_p99_ns]));
     }},
};

// Those that fit beside the command, in order.
std::vector<const Column*> fitting(int width) {
  std::vector<const Column*> shown;
  int needed = least_command;
  for (const Column& column : columns) {
    shown.push_back(&column);
    needed += column.width + 1;
  }
  while (needed > width && !shown.empty()) {
    const auto last = std::max_element(shown.begin(), shown.end(),
                                       [](auto* a, auto* b) { return a->rank < b->rank; });
    needed -= (*last)->width + 1;
    shown.erase(last);
  }
  return shown;
}

void put_table(Grid& grid, int row, int rows, const Model& model, const View& view) {
  const std::vector<const Column*> shown = fitting(grid.width());
  const std::vector<const ProcessLine*> lines = ordered(model, view);
  int column = 0;
  for (const Column* one : shown) {
    const std::string title = one->title;
    if (title == "PAGING") {
      grid.put(row, column, title, Ink::heading);
    } else {
      grid.put_right(row, column + one->width, title, Ink::heading);
    }
    column += one->width + 1;
  }
  grid.put(row, column, "COMMAND", Ink::heading);
  const ProcessLine* chosen = chosen_of(model, view);
  const int here = static_cast<int>(std::find(lines.begin(), lines.end(), chosen) - lines.begin());
  const int first = std::max(0, here - (rows - 1) + 1);
  for (int i = 0; i + 1 < rows && first + i < static_cast<int>(lines.size()); ++i) {
    const ProcessLine& line = *lines[static_cast<std::size_t>(first + i)];
    const int at = row + 1 + i;
    column = 0;
    for (const Column* one : shown) {
      one->put(grid, at, column, one->width, line);
      column += one->width + 1;
    }
    grid.put(at, column, short_command(line.stats.command));
    if (&line == chosen) grid.reverse(at);
  }
}

// "HBM   ██████····  66%  40.0 GiB of 60.0 GiB"
void put_total(Grid& grid, int row, const char* name, double part, double whole,
               const std::string& words, Ink ink) {
  const int cells = std::clamp(grid.width() - 46, 6, 40);
  int column = grid.put(row, 0, name, Ink::heading);
  column = std::max(column, 8);
  put_bar(grid, row, column, cells, share(part, whole), ink);
  grid.put_right(row, column + cells + 5,
                 std::to_string(static_cast<int>(share(part, whole) * 100)) + "%");
  grid.put(row, column + cells + 7, words);
}

struct Totals {
  double hbm = 0, hbm_limit = 0, host = 0, host_limit = 0;
  double to_hbm = 0, to_host = 0, stall = 0;
  double link_to_hbm = 0, link_to_host = 0;

  explicit Totals(const Model& model) {
    for (const ProcessLine& line : model.processes) {
      const auto value = [&](Stat stat) { return static_cast<double>(line.stats[stat]); };
      hbm += value(Stat::hbm_bytes), hbm_limit += value(Stat::hbm_limit);
      host += value(Stat::host_bytes), host_limit += value(Stat::host_limit);
      link_to_hbm = std::max(link_to_hbm, value(Stat::link_to_hbm));
      link_to_host = std::max(link_to_host, value(Stat::link_to_host));
      if (!line.rates) continue;
      to_hbm += line.rates->promoted_bytes, to_host += line.rates->evicted_bytes;
      stall = std::max(stall, line.rates->stall_share);
    }
  }
};

std::string of(double part, double whole, std::string (*text)(double)) {
  return text(part) + " of " + text(whole);
}

std::string of_link(double rate, double peak) {
  if (peak <= 0) return rate_text(rate) + ", no best known yet";
  return of(rate, peak, rate_text) + " at best";
}

// Returns the row below.
int put_totals(Grid& grid, const Model& model, int rows) {
  const Totals totals(model);
  const auto bytes = [](double value) { return bytes_text(static_cast<std::uint64_t>(value)); };
  struct Row {
    const char* name;
    double part, whole;
    std::string words;
    Ink ink;
  };
  const Row all[] = {
      {"HBM", totals.hbm, totals.hbm_limit, of(totals.hbm, totals.hbm_limit, bytes), Ink::hbm},
      {"host", totals.host, totals.host_limit, of(totals.host, totals.host_limit, bytes),
       Ink::host},
      {"to HBM", totals.to_hbm, totals.link_to_hbm, of_link(totals.to_hbm, totals.link_to_hbm),
       Ink::hbm},
      {"to host", totals.to_host, totals.link_to_host, of_link(totals.to_host, totals.link_to_host),
       Ink::host},
      {"stall", totals.stall, 1, "of the time, at the worst process's gate",
       stall_ink(totals.stall)},
  };
  int row = 1;
  for (const Row& one : all) {
    if (row > rows) break;
    put_total(grid, row++, one.name, one.part, one.whole, one.words, one.ink);
  }
  return row;
}

void put_title(Grid& grid, const Model& model, const View& view) {
  const std::size_t count = model.processes.size();
  char text[96];
  std::snprintf(text, sizeof text, "  %zu process%s, by %s%s, every %.3g s", count,
                count == 1 ? "" : "es", sort_orders()[view.sort].name,
                view.reversed ? " reversed" : "", view.interval);
  const int column = grid.put(0, 0, "vhbm top", Ink::strong);
  grid.put(0, column, text);
  if (grid.width() >= 60) grid.put_right(0, grid.width(), model.clock, Ink::faint);
}

void put_keys(Grid& grid, int row, const View& view) {
  if (!view.message.empty()) {
    grid.put(row, 0, view.message, Ink::warning);
    return;
  }
  struct Hint {
    const char *key, *word;
  };
  static constexpr Hint hints[] = {
      {"q", "quit"},  {"?", "help"}, {"j/k", "choose"}, {"s", "sort"},
      {"z", "sleep"}, {"w", "wake"}, {"r", "reverse"},  {"+/-", "faster, slower"}};
  int column = 0;
  for (const Hint& hint : hints) {
    if (column + width_of(hint.key) + 1 + width_of(hint.word) > grid.width()) break;
    column = grid.put(row, column, hint.key, Ink::heading) + 1;
    column = grid.put(row, column, hint.word) + 2;
  }
}

void put_help(Grid& grid) {
  grid.put(0, 0, "Keys of vhbm top", Ink::strong);
  int row = 2;
  const auto key = [&](const char* label, const char* text) {
    grid.put(row, 2, label, Ink::heading);
    grid.put(row++, 8, text);
  };
#define KEY(name, characters, label, text) key(label, text);
#include "keys.def"
#undef KEY
  ++row;
  for (const char* line :
       {"The map shows the regions of the chosen process by address. Colour is what",
        "a region holds, the fill how much of it is in HBM; without colours: W K S O",
        "for weights, kv, workspace and other, small letters for host memory.",
        "HBM and host are measured against the limits, copies against the fastest",
        "that this link has shown to the process so far."}) {
    grid.put(row++, 2, line);
  }
}

void put_nobody(Grid& grid, int row, const Model& model) {
  grid.put(row, 0, "No process of this user runs under vHBM.", Ink::warning);
  grid.put(row + 1, 0, "Looked in " + model.directory + "; start one with");
  grid.put(row + 2, 2, "vhbm run -- COMMAND", Ink::strong);
  grid.put(row + 3, 0, "`vhbm ps` lists GPU processes that run without.");
}

}  // namespace

Grid draw(const Model& model, const View& view, const Canvas& canvas) {
  Grid grid(canvas.width, canvas.height, canvas.ascii);
  if (view.help) {
    put_help(grid);
    return grid;
  }
  put_title(grid, model, view);
  int row = put_totals(grid, model, canvas.height >= 20 ? 5 : canvas.height >= 12 ? 2 : 0);
  if (canvas.height >= 20) ++row;
  const int last = canvas.height - 1;
  if (model.processes.empty()) {
    put_nobody(grid, row, model);
  } else {
    // Half of what is left for the table, the rest for the map.
    const int left = last - row;
    const int wanted = static_cast<int>(model.processes.size()) + 1;
    const int table = left < 8 ? left : std::min(wanted, std::max(left / 2, 4));
    put_table(grid, row, table, model, view);
    row += table + 1;
    if (last - row >= 3) {
      put_map(grid, {.first_row = row, .rows = last - row, .colourless = canvas.colourless}, model,
              *chosen_of(model, view));
    }
  }
  put_keys(grid, last, view);
  return grid;
}

std::string plain_table(const Model& model, const View& view, int width, bool ascii) {
  const int rows = static_cast<int>(model.processes.size()) + 1;
  Grid grid(width, model.processes.empty() ? 4 : rows, ascii);
  if (model.processes.empty()) {
    put_nobody(grid, 0, model);
  } else {
    put_table(grid, 0, rows, model, view);
  }
  return grid.to_text();
}

}  // namespace vhbm::cli
