// Programs that map device memory themselves, as servers do: virtual_memory PROGRAM [SEED]. The
// output is the same wherever its memory lies.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "program.h"

namespace {

struct Row {
  const char* name;
  void (*run)(Program&);
};
constexpr Row rows[] = {{"expandable_segments", expandable_segments},
                        {"sleep_mode", sleep_mode},
                        {"elastic_cache", elastic_cache},
                        {"collectives", collectives},
                        {"collectives_peer", collectives_peer}};

}  // namespace

int main(int argc, char** argv) {
  for (const Row& row : rows) {
    if (argc < 2 || std::strcmp(argv[1], row.name) != 0) continue;
    Program program(argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 1);
    row.run(program);
    std::printf("%s: done\n", row.name);
    return 0;
  }
  std::fprintf(stderr, "usage: virtual_memory PROGRAM [SEED]; programs:");
  for (const Row& row : rows) std::fprintf(stderr, " %s", row.name);
  std::fprintf(stderr, "\n");
  return 2;
}
