#include "replay/kernel_tracks.h"

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>

namespace vhbm::replay {
namespace {

constexpr std::string_view anonymous = "(anonymous namespace)";

std::string stream_name(std::uint64_t stream) {
  const std::uint64_t context = stream >> 32;
  std::string name = "stream " + std::to_string(stream & 0xffff'ffff);
  if (context != 0) name += " of context " + std::to_string(context + 1);
  return name;
}

// The tracks of one stream, and when each is free.
struct Row {
  std::vector<std::size_t> tracks;
  std::vector<std::uint64_t> free_at;
};

}  // namespace

KernelTracks kernel_tracks(const Recorded& recorded) {
  KernelTracks made;
  for (const recording::Record& record : recorded.records) {
    const auto* const kernel = std::get_if<recording::kernel>(&record.content);
    if (kernel != nullptr && kernel->begin <= kernel->end) made.slices.push_back({kernel, 0});
  }
  std::stable_sort(made.slices.begin(), made.slices.end(),
                   [](const auto& a, const auto& b) { return a.kernel->begin < b.kernel->begin; });
  std::map<std::uint64_t, Row> rows;
  for (KernelTracks::Slice& slice : made.slices) {
    Row& row = rows[slice.kernel->stream];
    const auto free = std::find_if(row.free_at.begin(), row.free_at.end(),
                                   [&](std::uint64_t at) { return at <= slice.kernel->begin; });
    const auto which = static_cast<std::size_t>(free - row.free_at.begin());
    if (free == row.free_at.end()) {
      row.tracks.push_back(made.names.size());
      row.free_at.push_back(0);
      std::string name = stream_name(slice.kernel->stream);
      if (which != 0) name += ", beside it: " + std::to_string(which);
      made.names.push_back(std::move(name));
    }
    row.free_at[which] = slice.kernel->end;
    slice.track = row.tracks[which];
  }
  return made;
}

std::string short_name(const std::string& kernel) {
  int failed = 0;
  const std::unique_ptr<char, decltype(&std::free)> readable(
      abi::__cxa_demangle(kernel.c_str(), nullptr, nullptr, &failed), &std::free);
  if (failed != 0 || readable == nullptr) return kernel;
  const std::string name = readable.get();
  // Where the parameters begin, and what is before the name: brackets of any kind may hold both.
  std::size_t depth = 0, begin = 0, end = name.size();
  for (std::size_t i = 0; i < name.size(); ++i) {
    const bool opens = name[i] == '<' || name[i] == '(';
    if (opens && depth == 0 && name[i] == '(' &&
        name.compare(i, anonymous.size(), anonymous) != 0) {
      end = i;
      break;
    }
    if (opens) ++depth;
    if ((name[i] == '>' || name[i] == ')') && depth != 0) --depth;
    if (name[i] == ' ' && depth == 0) begin = i + 1;
  }
  std::string made = name.substr(begin, end - begin);
  if (made.ends_with('>')) {
    std::size_t open = made.size();
    for (depth = 0; open-- > 0;) {
      if (made[open] == '>') ++depth;
      if (made[open] == '<' && --depth == 0) break;
    }
    made.resize(std::min(open, made.size()));
  }
  return made.empty() ? name : made;
}

}  // namespace vhbm::replay
