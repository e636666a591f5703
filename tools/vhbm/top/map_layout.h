// The residency map of one process: a cell a group of chunks, coloured by what it holds, filled by
// how much of it is in HBM.
#pragma once

#include "grid.h"
#include "model.h"

namespace vhbm::cli {

struct MapPlace {
  int first_row, rows;
  bool colourless;  // letters instead of colours
};

// A heading, a legend, and the map in what is left.
void put_map(Grid& grid, const MapPlace& place, const Model& model, const ProcessLine& process);

}  // namespace vhbm::cli
