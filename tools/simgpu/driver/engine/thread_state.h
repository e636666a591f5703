// What the driver keeps for each thread.
#pragma once

#include <cuda.h>

#include <vector>

namespace simgpu {

class Context;

struct ThreadState {
  std::vector<Context*> contexts;  // the stack; its top is current
  CUstreamCaptureMode capture_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  bool per_thread_default = false;  // a _ptsz or _ptds entry is being served
  bool in_host_function = false;
};
ThreadState& thread_state();

}  // namespace simgpu
