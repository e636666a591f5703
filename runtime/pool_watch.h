// How much device memory the driver's own pools hold: the device's default pool, those that the
// application made, and what graphs allocate. Only the driver knows, so it is asked now and then.
// Locking: one mutex of its own, held while the driver is asked, so that no pool goes meanwhile.
#pragma once

#include <cuda.h>

#include <mutex>
#include <vector>

#include "runtime/driver.h"
#include "runtime/units.h"

namespace vhbm {

class PoolWatch {
 public:
  explicit PoolWatch(const Driver& driver) : driver_(driver) {}

  // Watches the device's default pool and its graphs' memory.
  void start(CUdevice device);
  void created(CUmemoryPool pool);
  // Before the driver destroys it.
  void destroyed(CUmemoryPool pool);

  // What all of them hold now.
  [[nodiscard]] Bytes held() const;

 private:
  const Driver& driver_;
  mutable std::mutex mutex_;
  std::vector<CUmemoryPool> pools_;
  CUdevice device_ = 0;
};

}  // namespace vhbm
