// What a terminal shows, as a value: rows of cells, each a character and what it means. Nothing
// here knows a terminal, so a view is drawn and tested without one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vhbm::cli {

// What a cell means; how that looks is the screen's: see ink.def.
enum class Ink : unsigned char {
#define INK(name, eight, many, bold, dim) name,
#include "ink.def"
#undef INK
};

struct Cell {
  char32_t character = U' ';  // 0: the right half of the one before
  Ink ink = Ink::plain;
  bool reversed = false;
  bool operator==(const Cell&) const = default;
};

class Grid {
 public:
  // With `ascii`, what is no ASCII becomes '?'.
  Grid(int width, int height, bool ascii);

  [[nodiscard]] int width() const { return width_; }
  [[nodiscard]] int height() const { return height_; }
  [[nodiscard]] bool ascii() const { return ascii_; }
  // What is outside is blank.
  [[nodiscard]] Cell at(int row, int column) const;

  // UTF-8 from there on, as far as the row goes; the column after it. Control codes and broken
  // UTF-8 become '?'.
  int put(int row, int column, std::string_view text, Ink ink = Ink::plain);
  void put(int row, int column, char32_t character, Ink ink);
  // Ends at `column` (exclusive).
  void put_right(int row, int column, std::string_view text, Ink ink = Ink::plain);
  void reverse(int row);

  // Rows as UTF-8 lines, without blanks at their ends.
  [[nodiscard]] std::string to_text() const;

 private:
  [[nodiscard]] bool has(int row, int column) const {
    return row >= 0 && row < height_ && column >= 0 && column < width_;
  }
  [[nodiscard]] Cell& cell(int row, int column) {
    return cells_[static_cast<std::size_t>(row) * static_cast<std::size_t>(width_) +
                  static_cast<std::size_t>(column)];
  }

  const int width_, height_;
  const bool ascii_;
  std::vector<Cell> cells_;
};

// How many cells it takes.
[[nodiscard]] int width_of(std::string_view text);
void append_utf8(std::string& text, char32_t character);

}  // namespace vhbm::cli
