// A stream, as allocations and frees in its order see it.
#pragma once

#include <cuda.h>

#include <cstdint>

namespace vhbm {

struct StreamOrder {
  CUcontext context;  // in which an event can be recorded on it
  CUstream stream;    // as the plain functions take it: null is the legacy stream
  std::uint64_t id;   // no other stream's, ever; 0 where the driver does not tell
};

}  // namespace vhbm
