// Which driver calls shall fail, and when: "cuMemMap:3=2" (the 3rd call gives error 2),
// "cuMemCreate:5-7=2", "cuMemMap:4+=2" (the 4th and all after it), "device_lost:100" (after 100
// pieces of GPU work the device is gone). Items are separated by commas. Counting starts when a
// plan is set.
#pragma once

#include <cuda.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace simgpu {

class FaultPlan {
 public:
  // False, with a reason, when the text cannot be read; the plan is then as before.
  bool set(const std::string& text, std::string* error);

  // The planned answer of this call of `function` (its name without version suffix), or
  // CUDA_SUCCESS. Not thread-safe: the caller holds the machine's lock.
  CUresult next_call(const char* function);

  // True once, when the work just executed was the last before the device is lost.
  bool device_lost_after_this_work();

  bool empty() const { return rules_.empty(); }
  // Calls that failed by this plan since it was set.
  std::uint64_t struck() const { return struck_; }

 private:
  struct Rule {
    std::string function;
    std::uint64_t first, last;
    CUresult result;
    std::uint64_t calls = 0;
  };
  std::vector<Rule> rules_;
  std::uint64_t struck_ = 0;
};

}  // namespace simgpu
