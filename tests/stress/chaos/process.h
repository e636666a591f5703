// Starts a program from among many threads: all that it gets is made before the fork, since another
// thread may hold the allocator's lock just then. Locking: none.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

namespace chaos {

struct Program {
  std::vector<std::string> words;  // its path first
  std::map<std::string, std::string>
      settings;        // beside the environment, or instead of what is there
  int output = -1;     // for what it prints
  int inherited = -1;  // a file that it has under the same number
};
// It ends with the thread that calls this; -1 when there can be none.
[[nodiscard]] pid_t start(const Program& program);

}  // namespace chaos
