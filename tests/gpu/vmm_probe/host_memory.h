// How much page-locked host memory a sub-test may hold, so that a probe never pushes a machine into
// swapping or the OOM killer. Two bounds: the limit asked for, and what is free at that very
// moment.
#pragma once

#include <cstddef>
#include <string>

namespace vmm_probe {

// As the command line gives it: a size, or a share of what the machine has to give.
struct HostMemoryLimit {
  std::size_t bytes = 0;  // 0: use the share
  double percent = 25;
  std::string error;  // not empty: the text was neither

  static HostMemoryLimit parse(const std::string& text);  // "8GiB", "512M", "25%"
};

// The lower of MemAvailable and every enclosing cgroup's headroom, now.
std::size_t available_host_memory();

class HostMemory {
 public:
  explicit HostMemory(const HostMemoryLimit& limit);

  std::size_t limit() const { return limit_; }
  std::size_t left() const { return limit_ - used_; }

  // Counts `bytes` as taken; a reason in words, and nothing counted, where that would be too much.
  std::string take(std::size_t bytes);
  void give_back(std::size_t bytes) { used_ -= bytes; }

 private:
  std::size_t limit_;
  std::size_t used_ = 0;
  std::size_t checked_ = 0;  // may be taken before what is available is looked up again
};

}  // namespace vmm_probe
