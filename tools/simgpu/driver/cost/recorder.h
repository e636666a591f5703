// What one operation draws, found out while it is executed: of copies and sets their ranges, of
// kernels what they declare (gpu::reads and gpu::writes of simgpu/kernel.h). Whether a byte crosses
// the link is asked of the address space, page by page, at that time. Locking: used by the thread
// that executes; takes the machine's lock where it looks at the address space.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "cost/timeline.h"
#include "engine/work.h"

namespace simgpu {

struct Machine;

// The caller holds the machine's lock.
Phase phase_of(const CopyWork& copy, const Profile& profile, const Machine& machine);
Phase phase_of(const MemsetWork& set, const Profile& profile, const Machine& machine);

class Recorder {
 public:
  // `task` is the operation's, or null on the real clock.
  Recorder(const Profile& profile, std::shared_ptr<Task> task)
      : profile_(profile), task_(std::move(task)) {}

  void executes(const CopyWork& copy);
  void executes(const MemsetWork& set);
  // A kernel's declarations until kernel_ended() are its own.
  void touches(const void* address, std::uint64_t bytes, bool writes);
  void kernel_ended();
  // What runs now may wait for the host, so nobody shall wait for it to end.
  void may_wait();

  std::deque<Phase> phases;

 private:
  struct Range {
    const char* begin;
    std::uint64_t bytes;
    bool writes;
  };

  const Profile& profile_;
  const std::shared_ptr<Task> task_;
  bool told_ = false;
  std::vector<Range> ranges_;
};

}  // namespace simgpu
