// The distance between words is Levenshtein's: letters put in, left out or exchanged, one row of
// its table at a time.
#include "runtime/words.h"

#include <algorithm>
#include <cctype>
#include <vector>

namespace vhbm {
namespace {

std::size_t distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = i;
  for (std::size_t i = 1; i <= from.size(); ++i) {
    std::size_t before = row[0];  // of the row above, one letter to the left
    row[0] = i;
    for (std::size_t j = 1; j <= to.size(); ++j) {
      const std::size_t exchanged = before + (from[i - 1] == to[j - 1] ? 0 : 1);
      before = row[j];
      row[j] = std::min({exchanged, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[to.size()];
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())))
    text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())))
    text.remove_suffix(1);
  return text;
}

std::optional<std::string> nearest_word(std::string_view word, std::span<const std::string> known) {
  std::optional<std::string> nearest;
  // A third of the letters wrong is no misspelling any more.
  std::size_t closer_than = std::max<std::size_t>(word.size() / 3, 2) + 1;
  for (const std::string& one : known) {
    const std::size_t length_difference =
        std::max(one.size(), word.size()) - std::min(one.size(), word.size());
    if (length_difference >= closer_than) continue;
    if (const std::size_t changes = distance(word, one); changes < closer_than) {
      closer_than = changes;
      nearest = one;
    }
  }
  return nearest;
}

std::string joined_with_or(std::span<const std::string> words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i != 0) text += i + 1 == words.size() ? " or " : ", ";
    text += words[i];
  }
  return text;
}

}  // namespace vhbm
