#include "sample.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace sample {

void fill(unsigned round, const Arrays& arrays) {
  for (std::uint32_t i = 0; i < count; ++i) {
    arrays.a[i] = static_cast<float>(i) * 0.5f + static_cast<float>(round);
    arrays.b[i] = static_cast<float>(count - i) * 0.25f;
    arrays.values[i] = i * 2'654'435'761u + round;
    arrays.out[i] = -1.0f;
  }
  *arrays.sum = ~0ull;
}

bool report(unsigned round, const Arrays& arrays) {
  unsigned right = 0;
  unsigned long long sum = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (arrays.out[i] == arrays.a[i] + arrays.b[i]) ++right;
    sum += arrays.values[i];
  }
  const bool added = right == count, summed = *arrays.sum == sum;
  std::printf("round %u  vector_add  %-5s  %u of %u values right\n", round, added ? "ok" : "wrong",
              right, count);
  std::printf("round %u  reduce_sum  %-5s  %llu, expected %llu\n", round, summed ? "ok" : "wrong",
              *arrays.sum, sum);
  return added && summed;
}

bool graph_wanted(int argc, char** argv) {
  if (argc == 1) return false;
  if (argc == 2 && std::strcmp(argv[1], "--graph") == 0) return true;
  std::fprintf(stderr, "usage: %s [--graph]\n", argv[0]);
  std::exit(64);
}

void fail(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(1);
}

}  // namespace sample
