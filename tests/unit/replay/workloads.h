// Workloads as the tests of replay write them.
#pragma once

#include <vector>

#include "replay/workload.h"

namespace vhbm::replay {

// Regions of so many chunks each, there from the beginning.
inline Workload with_regions(const std::vector<std::uint32_t>& chunks, Tag tag = Tag::weights) {
  Workload made;
  std::uint32_t first = 0;
  for (std::uint32_t i = 0; i < chunks.size(); ++i) {
    Life life;
    life.index = i + 1;
    life.first_chunk = first;
    life.chunks = chunks[i];
    life.chunk_size = mib(2);
    life.runs = {chunks[i]};
    life.tag = tag;
    first += chunks[i];
    made.events.push_back({Event::Kind::born, 0, i});
    made.lives.push_back(life);
  }
  return made;
}

// Layers that are used in turn, so many times.
inline Workload cycle(std::uint32_t layers, std::uint32_t chunks, int passes) {
  Workload made = with_regions(std::vector<std::uint32_t>(layers, chunks));
  for (int pass = 0; pass < passes; ++pass) {
    for (std::uint32_t layer = 0; layer < layers; ++layer) made.use(layer);
  }
  return made;
}

}  // namespace vhbm::replay
