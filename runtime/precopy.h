// Phase 2 of a flip: chunks that are about to change tier are copied to frames of the other tier
// while the application's kernels run, and hashed on the way. The copy may be torn or grow stale:
// of what leaves HBM, the hash of the chunk's bytes behind the closed gate tells whether it holds.
// What comes to HBM is copied ahead only on the user's promise that nothing changes it; the host
// frame that it left is hashed afterwards, which tells whether the promise was kept.
// Invariant: what is in flight reads and writes frames at their own addresses, so the application
// may unmap a region at any time: forget() it then, and give its frames back by way of give_back().
// Locking: the device's lock.
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

  // Starts copying those of `chunks` that have no copy, as far as there are idle frames.
  // Needs kernels.context()'s context to exist; false when there was nothing to do or it failed.
  [[nodiscard]] bool start(CUcontext context, const std::vector<Chunk>& chunks,
                           PageKernels& kernels, Frames& frames);
  // The chunk came to HBM without a look behind the gate; `left` is the host frame it came from,
  // with the hash of what arrived.
  void arrived(Region& region, std::size_t index, CleanCopy left) {
    unchecked_.push_back({&region, index, left});
  }
  // Starts hashing what arrived() was told of. Nothing else may be in flight.
  void start_checks(PageKernels& kernels, Frames& frames);
  [[nodiscard]] bool in_flight() const { return !copies_.empty() || !checks_.empty(); }

  // What became of what was in flight: frames with the hash of what was copied, ...
  using Take = std::function<void(Region&, std::size_t index, CleanCopy)>;
  struct Outcome {
    Take copied;
    Take kept;    // ... host frames that hold what arrived, ...
    Take broken;  // ... and those that do not.
  };
  // CUDA_ERROR_NOT_READY until what was started has landed, which is then given to `to`. After any
  // other error what is in flight stays so: it may still land.
  [[nodiscard]] CUresult collect(const PageKernels& kernels, Frames& frames, const Outcome& to);
  // The region is being taken apart.
  void forget(const Region& region);
  // A frame of nobody's, once nothing in flight can read it.
  void give_back(Frame* frame, Frames& frames);
  // The stream goes with its context.
  void context_destroyed(CUcontext context, Frames& frames);
  // Waits until nothing is in flight; the copies are dropped.
  void finish(Frames& frames);

 private:
  struct Copy {
    Region* region;  // nullptr: taken apart meanwhile
    std::size_t index;
    CleanCopy copy;
  };
  [[nodiscard]] static Frame* destination(const Chunk& chunk, Frames& frames);
  static void drop(std::vector<Copy>& copies, Frames& frames);
  void give_back_unread(Frames& frames);

  Stats& stats_;
  Copier copier_;
  std::vector<Copy> copies_, unchecked_, checks_;
  std::vector<Frame*> unread_later_;  // free, but what is in flight may read them
};

}  // namespace vhbm
