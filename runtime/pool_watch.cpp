// The driver answers with the bytes that its pools have taken from the device, used or not.
#include "runtime/pool_watch.h"

namespace vhbm {

void PoolWatch::start(CUdevice device) {
  CUmemoryPool pool = nullptr;
  device_ = device;
  if (driver_.cuDeviceGetDefaultMemPool != nullptr &&
      driver_.cuDeviceGetDefaultMemPool(&pool, device) == CUDA_SUCCESS) {
    created(pool);
  }
}

void PoolWatch::created(CUmemoryPool pool) {
  std::lock_guard lock(mutex_);
  pools_.push_back(pool);
}

void PoolWatch::destroyed(CUmemoryPool pool) {
  std::lock_guard lock(mutex_);
  std::erase(pools_, pool);
}

Bytes PoolWatch::held() const {
  std::lock_guard lock(mutex_);
  Bytes sum;
  for (const CUmemoryPool pool : pools_) {
    cuuint64_t bytes = 0;
    if (driver_.cuMemPoolGetAttribute != nullptr &&
        driver_.cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &bytes) ==
            CUDA_SUCCESS) {
      sum += {bytes};
    }
  }
  cuuint64_t of_graphs = 0;
  if (driver_.cuDeviceGetGraphMemAttribute != nullptr &&
      driver_.cuDeviceGetGraphMemAttribute(device_, CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT,
                                           &of_graphs) == CUDA_SUCCESS) {
    sum += {of_graphs};
  }
  return sum;
}

}  // namespace vhbm
