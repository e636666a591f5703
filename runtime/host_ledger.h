// How much host memory this process page-locks, over all its devices, against host_limit. A device
// that finds the limit reached gets what the others hold and do not need: at once where their locks
// are free, else as soon as their own threads get to it.
// Invariant: what was taken stays within the limit, with what the application has locked before and
// what is promised; only a promise kept may pass it.
// Locking: its own, which is taken after a device's; another device's lock is tried, never waited
// for.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "runtime/units.h"

namespace vhbm {

// How long one waits for host memory that another has to spare or is just page-locking.
inline constexpr std::chrono::seconds handover_patience{5};

class HostLedger {
 public:
  // What one device says of its frames.
  struct Member {
    std::atomic<std::uint64_t> spare{0};  // bytes that it could give up
    // Gives some of them up, if that can be done at once; called by other devices' threads.
    std::function<bool()> yield;
    Bytes wanted;  // was refused while others had spare ones; the ledger's
  };
  void join(Member* member);
  void leave(const Member* member);

  // The first to say it decides; returns what holds.
  Bytes limit_to(Bytes limit);
  // From now on; what was taken beyond it is given back as others find it.
  void set_limit(Bytes limit);

  // False, and nothing taken, when the limit would not hold.
  [[nodiscard]] bool take(Bytes size, Member& by);
  // As take(), and nobody has to give anything up: for what is wanted ahead of need.
  [[nodiscard]] bool take_unused(Bytes size, const Member& by);
  // Of what the others have to spare so much is needed, which is then kept for `by`; 0: nothing.
  void want(Bytes size, Member& by);
  void give_back(Bytes size);
  // What was taken went to a tier below, and comes back: its place is nobody else's meanwhile, so
  // that neither what is taken nor a lower limit keeps a process from waking.
  void promise(Bytes size);
  // It is not wanted any more, or is about to be taken like anything else.
  void drop_promise(Bytes size);
  // As drop_promise(), and taken whatever the limit is.
  void take_promised(Bytes size);
  // What the application page-locks itself takes its part of the limit, and is never refused.
  void application_locked(Bytes size);
  void application_unlocked(Bytes size);
  [[nodiscard]] Bytes application() const;
  // The application came to lock what was taken before, or others want what `member` has to spare.
  [[nodiscard]] bool over_limit(const Member& member) const;
  // What a member may still take, with what others could give up.
  [[nodiscard]] Bytes left(const Member& member) const;
  // What others could give up, but did not just now.
  [[nodiscard]] Bytes spare_of_others(const Member& member) const;

 private:
  [[nodiscard]] Bytes unused() const { return saturating_minus(limit_, held()); }
  [[nodiscard]] Bytes held() const { return taken_ + application_ + promised_; }
  [[nodiscard]] Bytes spare_without(const Member& member) const;
  [[nodiscard]] Bytes wanted_without(const Member& member) const;

  mutable std::recursive_mutex mutex_;  // who yields gives back meanwhile
  std::vector<Member*> members_;
  Bytes limit_{UINT64_MAX}, taken_, application_, promised_;
};

}  // namespace vhbm
