// What both samples compute: vector_add and reduce_sum of vector_math.cu, over inputs that differ
// in each round, so that a graph that replays old bytes is found out.
#pragma once

#include <cstdint>
#include <string>

namespace sample {

constexpr unsigned count = 100'003;  // of values; no multiple of a block
constexpr unsigned threads = 256;    // of a block, as reduce_sum wants
constexpr unsigned blocks = (count + threads - 1) / threads;
constexpr unsigned rounds = 3;

// The arrays of one round, in memory that the host reads and writes.
struct Arrays {
  float *a, *b, *out;
  std::uint32_t* values;
  unsigned long long* sum;
};

// Inputs of a round; what was in `out` and `sum` is spoilt.
void fill(unsigned round, const Arrays& arrays);

// Prints one line for each kernel; whether both results are right.
bool report(unsigned round, const Arrays& arrays);

// Reads the command line: whether --graph stands there. Ends the program with a usage line and exit
// code 64 for anything else.
bool graph_wanted(int argc, char** argv);

// Ends the program with exit code 1.
[[noreturn]] void fail(const std::string& what);

}  // namespace sample
