// The parameters of the benchmark's kernels, for the kernels, the program and the empty driver.
#pragma once

#include <stdint.h>

// As much as a kernel's parameters could be before CUDA 12.1, and what kernels over lists of
// tensors still take.
struct FourKibibytes {
  uint64_t words[512];
};
