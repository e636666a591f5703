// Phase 2 of an eviction: chunks that are about to leave HBM are copied to host frames while the
// application's kernels run, and hashed on the way. The copy may be torn or grow stale: only the
// hash of the chunk's bytes behind the closed gate tells whether it holds.
// Invariant: what is in flight reads and writes live mappings only: regions are taken apart after
// all work that was submitted before, and forget() then. Locking: the device's lock.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <functional>
#include <vector>

#include "runtime/copier.h"
#include "runtime/frames.h"
#include "runtime/page_kernels.h"
#include "runtime/regions.h"
#include "runtime/stats.h"

namespace vhbm {

class Precopy {
 public:
  Precopy(const Driver& driver, Stats& stats) : stats_(stats), copier_(driver) {}

  struct Chunk {
    Region* region;
    std::size_t index;  // of the region
  };

  // Starts copying those of `chunks` that have no copy, as far as there are idle host frames.
  // Needs kernels.context()'s context to exist; false when there was nothing to do or it failed.
  [[nodiscard]] bool start(CUcontext context, const std::vector<Chunk>& chunks,
                           PageKernels& kernels, Frames& frames);
  [[nodiscard]] bool in_flight() const { return !copies_.empty(); }
  using Keep = std::function<void(Region&, std::size_t index, CleanCopy)>;
  // CUDA_ERROR_NOT_READY until what was started has landed, which `keep` is then given. After any
  // other error what is in flight stays so: it may still land.
  [[nodiscard]] CUresult collect(const PageKernels& kernels, Frames& frames, const Keep& keep);
  // The region is being taken apart, and no work reads it any more.
  void forget(const Region& region);
  // The stream goes with its context.
  void context_destroyed(CUcontext context, Frames& frames);
  // Waits until nothing is in flight; the copies are dropped.
  void finish(Frames& frames);

 private:
  struct Copy {
    Region* region;  // nullptr: taken apart meanwhile
    std::size_t index;
    Frame* to;
  };

  Stats& stats_;
  Copier copier_;
  std::vector<Copy> copies_;
};

}  // namespace vhbm
