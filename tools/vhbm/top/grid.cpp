// Widths are the C library's, by the locale that the command has set; a character that it does not
// know becomes '?'.
#include "grid.h"

#include <wchar.h>

#include <algorithm>

namespace vhbm::cli {
namespace {

constexpr char32_t broken = 0xfffd;

// Takes one character off the front.
char32_t next_of(std::string_view& text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const std::size_t length = first < 0x80   ? 1
                             : first < 0xc2 ? 0
                             : first < 0xe0 ? 2
                             : first < 0xf0 ? 3
                             : first < 0xf5 ? 4
                                            : 0;
  char32_t character = length == 0 ? broken : length == 1 ? first : first & (0xffu >> (length + 1));
  bool whole = length <= text.size();
  for (std::size_t i = 1; whole && i < length; ++i) {
    const auto more = static_cast<unsigned char>(text[i]);
    whole = (more & 0xc0) == 0x80;
    character = character << 6 | (more & 0x3f);
  }
  if (!whole) character = broken;
  text.remove_prefix(whole ? std::max<std::size_t>(length, 1) : 1);
  return character;
}

// The character as it can be shown, and how many cells it takes.
std::pair<char32_t, int> shown(char32_t character, bool ascii) {
  if (character >= 0x20 && character < 0x7f) return {character, 1};
  const int width = ascii ? -1 : wcwidth(static_cast<wchar_t>(character));
  // What takes no cell of its own is left out.
  return width < 0 ? std::pair(U'?', 1) : std::pair(character, width);
}

}  // namespace

int width_of(std::string_view text) {
  int width = 0;
  while (!text.empty()) width += shown(next_of(text), false).second;
  return width;
}

void append_utf8(std::string& text, char32_t character) {
  const auto part = [&](int shift, unsigned mask, unsigned mark) {
    text += static_cast<char>((character >> shift & mask) | mark);
  };
  if (character < 0x80) {
    part(0, 0x7f, 0);
  } else if (character < 0x800) {
    part(6, 0x1f, 0xc0), part(0, 0x3f, 0x80);
  } else if (character < 0x10000) {
    part(12, 0x0f, 0xe0), part(6, 0x3f, 0x80), part(0, 0x3f, 0x80);
  } else {
    part(18, 0x07, 0xf0), part(12, 0x3f, 0x80), part(6, 0x3f, 0x80), part(0, 0x3f, 0x80);
  }
}

Grid::Grid(int width, int height, bool ascii)
    : width_(std::max(width, 0)),
      height_(std::max(height, 0)),
      ascii_(ascii),
      cells_(static_cast<std::size_t>(width_) * static_cast<std::size_t>(height_)) {}

Cell Grid::at(int row, int column) const {
  return has(row, column) ? const_cast<Grid*>(this)->cell(row, column) : Cell{};
}

int Grid::put(int row, int column, std::string_view text, Ink ink) {
  while (!text.empty()) {
    const auto [character, width] = shown(next_of(text), ascii_);
    if (width == 0) continue;
    if (!has(row, column + width - 1)) break;
    cell(row, column) = {character, ink, false};
    if (width == 2) cell(row, column + 1) = {0, ink, false};
    column += width;
  }
  return column;
}

void Grid::put(int row, int column, char32_t character, Ink ink) {
  if (has(row, column)) cell(row, column) = {shown(character, ascii_).first, ink, false};
}

void Grid::put_right(int row, int column, std::string_view text, Ink ink) {
  put(row, std::max(column - width_of(text), 0), text, ink);
}

void Grid::reverse(int row) {
  for (int column = 0; column < width_; ++column) {
    if (has(row, column)) cell(row, column).reversed = true;
  }
}

std::string Grid::to_text() const {
  std::string text;
  for (int row = 0; row < height_; ++row) {
    std::string line;
    for (int column = 0; column < width_; ++column) {
      const Cell cell = at(row, column);
      if (cell.character != 0) append_utf8(line, cell.character);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace vhbm::cli
