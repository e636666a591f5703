// ncurses' names stay in this file. Its window follows the terminal's size by itself; a key that
// says so comes with each change.
#define NCURSES_WIDECHAR 1
#define NCURSES_NOMACROS 1
#include "screen.h"

#include <langinfo.h>
#include <ncurses.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string_view>

namespace vhbm::cli {
namespace {

struct InkLook {
  short eight, many;  // -1: the terminal's own
  bool bold, dim;
};
constexpr InkLook ink_looks[] = {
#define INK(name, eight, many, bold, dim) {eight, many, bold, dim},
#include "ink.def"
#undef INK
};

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

attr_t attributes_of(const InkLook& look, int colours) {
  attr_t attributes = A_NORMAL;
  if (look.bold) attributes |= A_BOLD;
  // With 256 colours a grey says it better.
  if (look.dim && colours < 256) attributes |= A_DIM;
  return attributes;
}

}  // namespace

bool locale_has_utf8() {
  return std::strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

std::string Screen::why_not() {
  if (isatty(STDOUT_FILENO) != 1) return "standard output is no terminal";
  if (isatty(STDIN_FILENO) != 1) return "standard input is no terminal";
  if (variable("TERM").empty()) return "TERM is not set";
  if (variable("TERM") == "dumb") return "TERM is dumb";
  return "";
}

bool Screen::open() {
  SCREEN* screen = newterm(nullptr, stdout, stdin);
  if (screen == nullptr) return false;
  handle_ = screen;
  set_term(screen);
  cbreak();
  noecho();
  nonl();
  intrflush(stdscr, FALSE);
  keypad(stdscr, TRUE);
  set_escdelay(25);
  curs_set(0);
  if (::has_colors() && variable("NO_COLOR").empty() && start_color() == OK && COLORS >= 8) {
    colours_ = COLORS >= 256 ? 256 : 8;
    use_default_colors();
    short pair = 1;
    for (const InkLook& look : ink_looks) {
      init_pair(pair++, colours_ == 256 ? look.many : look.eight, -1);
    }
  }
  return true;
}

Screen::~Screen() {
  if (handle_ == nullptr) return;
  endwin();
  delscreen(static_cast<SCREEN*>(handle_));
}

int Screen::width() const {
  return getmaxx(stdscr);
}
int Screen::height() const {
  return getmaxy(stdscr);
}

void Screen::show(const Grid& grid) {
  werase(stdscr);
  for (int row = 0; row < grid.height(); ++row) {
    for (int column = 0; column < grid.width(); ++column) {
      const Cell cell = grid.at(row, column);
      if (cell.character == 0 || (cell == Cell{})) continue;
      const auto ink = static_cast<std::size_t>(cell.ink);
      attr_t attributes = attributes_of(ink_looks[ink], colours_);
      if (cell.reversed) attributes |= A_REVERSE;
      const wchar_t text[] = {static_cast<wchar_t>(cell.character), 0};
      cchar_t character;
      setcchar(&character, text, attributes, static_cast<short>(colours_ > 0 ? ink + 1 : 0),
               nullptr);
      mvwadd_wch(stdscr, row, column, &character);
    }
  }
  wrefresh(stdscr);
}

Key Screen::wait(std::chrono::milliseconds limit) {
  wtimeout(stdscr, static_cast<int>(limit.count()));
  const int key = wgetch(stdscr);
  switch (key) {
    case KEY_UP:
      return Key::up;
    case KEY_DOWN:
      return Key::down;
    case ERR:
    case KEY_RESIZE:
      return Key::none;
    default:
      return key > 0 && key < 0x80 ? key_of(static_cast<char>(key)) : Key::other;
  }
}

}  // namespace vhbm::cli
