// The terminal, by ncurses: shows a grid, and reads keys. One at a time; the terminal is as it was
// once it is gone.
#pragma once

#include <chrono>
#include <string>

#include "grid.h"
#include "view.h"

namespace vhbm::cli {

class Screen {
 public:
  // Why there can be none here: no terminal, or one that cannot place text; "" when there can.
  [[nodiscard]] static std::string why_not();

  // False when ncurses does not know the terminal after all.
  [[nodiscard]] bool open();
  ~Screen();
  Screen() = default;
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  [[nodiscard]] int width() const;
  [[nodiscard]] int height() const;
  [[nodiscard]] bool has_colours() const { return colours_ > 0; }
  void show(const Grid& grid);
  // The next key; Key::none after a change of size, or when time is up.
  [[nodiscard]] Key wait(std::chrono::milliseconds limit);

 private:
  void* handle_ = nullptr;
  int colours_ = 0;
};

// Whether the locale, which was set, can show what is not ASCII.
[[nodiscard]] bool locale_has_utf8();

}  // namespace vhbm::cli
