// Runs what may crash or hang, such as somebody's driver, in a process of its own.
#pragma once

#include <chrono>
#include <cstdio>
#include <string>

namespace vhbm::cli {

struct ChildOutcome {
  enum class End { exited, crashed, hung, not_started };
  End end = End::not_started;
  int code = 0;        // of the exit, the signal, or errno
  std::string output;  // what it had written until then

  // "crashed: Segmentation fault"; "" after an exit with code 0.
  [[nodiscard]] std::string trouble() const;
};

// `work` writes to `out` and returns the child's exit code. Past the time limit it is killed. Call
// it before this process has threads.
[[nodiscard]] ChildOutcome run_in_child(int (*work)(std::FILE* out, int argument), int argument,
                                        std::chrono::milliseconds limit);

}  // namespace vhbm::cli
