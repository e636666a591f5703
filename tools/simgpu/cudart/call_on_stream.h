// For the files that are compiled twice, as cudaXxx and as cudaXxx_ptds or _ptsz: the header's own
// macros rename the functions when CUDA_API_PER_THREAD_DEFAULT_STREAM is defined, and the driver's
// variant is chosen here. Everything is local to the file, since the two builds share one library.
#pragma once

#include <cuda_runtime_api.h>

#include "call.h"

namespace {

using namespace simgpu_cudart;

#ifdef CUDA_API_PER_THREAD_DEFAULT_STREAM
constexpr DefaultStream default_stream = DefaultStream::per_thread;
#else
constexpr DefaultStream default_stream = DefaultStream::legacy;
#endif

template <auto entry, typename... Arguments>
cudaError_t call_on_stream(Arguments... arguments) {
  return call<Needs::context, default_stream, entry>(arguments...);
}

}  // namespace
