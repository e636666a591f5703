// One answer that cuGetProcAddress can give.
#pragma once

#include <span>

namespace simgpu {

struct Symbol {
  const char* name;      // what is asked for
  const char* exported;  // the function's own name
  int version;           // the CUDA version that brought it
  bool per_thread;
  void* function;
};

// Those of unsupported.def.
std::span<const Symbol> unsupported_symbols();

}  // namespace simgpu
