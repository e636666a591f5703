#include "view.h"

#include <algorithm>
#include <string_view>

namespace vhbm::cli {
namespace {

constexpr double shortest = 0.1, longest = 60;

double moved(const ProcessLine& line) {
  return line.rates ? line.rates->promoted_bytes + line.rates->evicted_bytes : 0;
}

double stalled(const ProcessLine& line) {
  return line.rates ? line.rates->stall_share : 0;
}

}  // namespace

Key key_of(char character) {
#define KEY(name, characters, label, text) \
  if (std::string_view(characters).find(character) != std::string_view::npos) return Key::name;
#include "keys.def"
#undef KEY
  return Key::other;
}

const std::vector<SortOrder>& sort_orders() {
  using Line = ProcessLine;
  static const std::vector<SortOrder> orders = {
      {"pid", [](const Line& a, const Line& b) { return a.stats.pid < b.stats.pid; }},
      {"hbm", [](const Line& a,
                 const Line& b) { return a.stats[Stat::hbm_bytes] > b.stats[Stat::hbm_bytes]; }},
      {"host", [](const Line& a,
                  const Line& b) { return a.stats[Stat::host_bytes] > b.stats[Stat::host_bytes]; }},
      {"moves", [](const Line& a, const Line& b) { return moved(a) > moved(b); }},
      {"stall", [](const Line& a, const Line& b) { return stalled(a) > stalled(b); }},
  };
  return orders;
}

std::vector<const ProcessLine*> ordered(const Model& model, const View& view) {
  std::vector<const ProcessLine*> lines;
  for (const ProcessLine& line : model.processes) lines.push_back(&line);
  const auto before = sort_orders()[view.sort].before;
  std::stable_sort(lines.begin(), lines.end(), [&](const ProcessLine* a, const ProcessLine* b) {
    return view.reversed ? before(*b, *a) : before(*a, *b);
  });
  return lines;
}

const ProcessLine* chosen_of(const Model& model, const View& view) {
  for (const ProcessLine& line : model.processes) {
    if (view.chosen && line.target() == *view.chosen) return &line;
  }
  return model.processes.empty() ? nullptr : ordered(model, view).front();
}

Key press(Key key, const Model& model, View& view) {
  if (key == Key::none) return key;
  if (view.help && key != Key::quit) {
    view.help = false;
    return Key::none;
  }
  const std::vector<const ProcessLine*> lines = ordered(model, view);
  const auto here = std::find(lines.begin(), lines.end(), chosen_of(model, view)) - lines.begin();
  const auto choose = [&](std::ptrdiff_t index) {
    if (index < 0 || index >= static_cast<std::ptrdiff_t>(lines.size())) return;
    view.chosen = lines[static_cast<std::size_t>(index)]->target();
  };
  switch (key) {
    case Key::up:
      choose(here - 1);
      break;
    case Key::down:
      choose(here + 1);
      break;
    case Key::sort:
      // The one that was looked at stays chosen wherever it goes.
      choose(here);
      view.sort = (view.sort + 1) % sort_orders().size();
      break;
    case Key::reverse:
      choose(here);
      view.reversed = !view.reversed;
      break;
    case Key::faster:
      view.interval = std::max(view.interval / 2, shortest);
      break;
    case Key::slower:
      view.interval = std::min(view.interval * 2, longest);
      break;
    case Key::help:
      view.help = true;
      break;
    case Key::sleep:
    case Key::wake:
      choose(here);
      return lines.empty() ? Key::none : key;
    case Key::quit:
      return key;
    case Key::other:
    case Key::none:
      break;
  }
  return Key::none;
}

}  // namespace vhbm::cli
