// What a null stream means in a function: its _ptds and _ptsz variants take it for the calling
// thread's own stream (cuda.h: "Stream synchronization behavior").
#pragma once

#include <cuda.h>

namespace vhbm::interpose {

enum class DefaultStream { legacy, per_thread };

inline bool is_per_thread(CUstream stream, DefaultStream null_means) {
  return stream == CU_STREAM_PER_THREAD ||
         (stream == nullptr && null_means == DefaultStream::per_thread);
}

}  // namespace vhbm::interpose
