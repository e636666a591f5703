// Draws what `vhbm top` shows onto a grid of whatever size there is: what does not fit is left out,
// the least important first.
#pragma once

#include "grid.h"
#include "model.h"
#include "view.h"

namespace vhbm::cli {

struct Canvas {
  int width = 80, height = 24;
  bool ascii = false;       // the locale has no UTF-8
  bool colourless = false;  // so the map says by letters what colours would
};

[[nodiscard]] Grid draw(const Model& model, const View& view, const Canvas& canvas);

// Only the table, all of it: for where there is no screen.
[[nodiscard]] std::string plain_table(const Model& model, const View& view, int width, bool ascii);

}  // namespace vhbm::cli
