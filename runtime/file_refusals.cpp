#include "runtime/file_refusals.h"

#include <algorithm>

namespace vhbm {

void FileRefusals::add(std::size_t line, const std::string& what) {
  const std::string place = line == 0 ? path_ : path_ + ":" + std::to_string(line);
  all_.push_back({line, place + ": " + what});
}

std::vector<std::string> FileRefusals::told() const {
  std::vector<Refusal> sorted = all_;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Refusal& a, const Refusal& b) { return a.line < b.line; });
  std::vector<std::string> lines;
  for (Refusal& one : sorted) lines.push_back(std::move(one.text));
  return lines;
}

}  // namespace vhbm
