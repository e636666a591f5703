// Kernels on the tracks of a timeline: one for each stream, and another one beside it wherever
// kernels of a stream overlap, as those of a graph's branches do, since what lies on one track must
// follow or contain each other. Locking: none.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "replay/recorded.h"

namespace vhbm::replay {

struct KernelTracks {
  struct Slice {
    const recording::kernel* kernel;  // of the recording, which outlives this
    std::size_t track;                // of `names`
  };

  std::vector<std::string> names;
  std::vector<Slice> slices;  // by their beginning
};

[[nodiscard]] KernelTracks kernel_tracks(const Recorded& recorded);

// What a person calls a kernel: "nn::softmax" of "_ZN2nn7softmaxILi4EEEvPf", which is void
// nn::softmax<4>(float*). A name that no C++ compiler made stays as it is.
[[nodiscard]] std::string short_name(const std::string& kernel);

}  // namespace vhbm::replay
