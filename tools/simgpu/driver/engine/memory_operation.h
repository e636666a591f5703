// Operations of a stream on one word of memory: wait until it holds a value, write it, or order
// what was written before (cuda.h, "Stream memory operations").
#pragma once

#include <cuda.h>

#include <cstdint>
#include <vector>

namespace simgpu {

struct MemoryOperation {
  enum class Kind { wait, write, fence };

  Kind kind = Kind::fence;
  CUdeviceptr address = 0;
  unsigned bytes = 4;  // of the word: 4 or 8
  std::uint64_t value = 0;
  unsigned condition = CU_STREAM_WAIT_VALUE_GEQ;  // of a wait; without CU_STREAM_WAIT_VALUE_FLUSH
};

// Whether the word is now what a wait waits for. Reads the application's memory, as perform()
// writes it: both belong inside the access guard.
bool is_satisfied(const MemoryOperation& wait);
void perform(const MemoryOperation& write_or_fence);

struct MemoryOperationsWork {  // one after the other
  std::vector<MemoryOperation> operations;
  std::vector<CUstreamBatchMemOpParams> described;  // as the application gave them
};

}  // namespace simgpu
