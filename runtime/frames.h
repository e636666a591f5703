// The physical allocations of one device: HBM frames and host frames, pooled and recycled.
// Invariant: HBM frames and native memory together stay within hbm_limit, the host frames of all
// devices within host_limit. Locking: the pager's lock, except for native(), limits() and what is
// counted, which at most take one of their own.
#pragma once

#include <cuda.h>

#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

#include "runtime/address_space.h"
#include "runtime/driver.h"
#include "runtime/host_ledger.h"
#include "runtime/mapper.h"
#include "runtime/stats.h"
#include "runtime/status.h"
#include "runtime/units.h"

namespace vhbm {

enum class Tier { hbm, host };

struct Frame {
  CUmemGenericAllocationHandle handle = 0;
  Tier tier = Tier::hbm;
  // Where copies reach the frame whatever region it belongs to; 0 until it was first needed.
  DeviceAddress alias;
  // Chunks whose bytes are below host memory and which are mapped to it, without access; it is in
  // no pool meanwhile.
  std::size_t stands_in_for = 0;
};

class Frames {
 public:
  struct Limits {
    Bytes hbm, host;
    Bytes hbm_spare;  // of hbm, kept free for promotions as long as host frames can be had
  };

  // `aliases` is a reserved range for the frames' own addresses, as large as all of them together.
  Frames(const Driver& driver, const Mapper& mapper, Stats& stats, HostLedger& host,
         CUdevice device, int numa_node, Bytes frame_size, Limits limits, AddressSpace aliases);
  ~Frames();
  Frames(const Frames&) = delete;
  Frames& operator=(const Frames&) = delete;

  // A frame from the pool, else a new one, else one that keeps a copy. Its bytes are anything.
  //   Errc::out_of_memory  the limit is reached, or the driver has no more
  [[nodiscard]] Result<Frame*> take(Tier tier);
  // One that stands in comes back when it does so for no chunk any more.
  void give_back(Frame* frame);
  // The host frame stands in for one chunk more, for which a frame's place is kept.
  void stand_in(Frame* frame) {
    ++frame->stands_in_for;
    host_ledger_.promise(frame_size_);
  }
  // For a chunk that comes back from below: a host frame, else one of HBM, else a host frame
  // beyond host_limit, which may be lower by now. Its place is kept no more, unless
  // keep_promise() says that the chunk stayed below.
  //   Errc::out_of_memory  the driver has no more; the place is kept
  [[nodiscard]] Result<Frame*> take_promised();
  void keep_promise() { host_ledger_.promise(frame_size_); }
  // The chunk is mapped to `frame` now, which was taken, or is what stood in for it alone.
  void stood_in(Frame* stand_in, const Frame* frame);

  // Frames that keep copies of chunks of the other tier are in use, and yet to be had: when no
  // other is left, `reclaim` gives one up (nullptr: there is none after all).
  using Reclaim = std::function<Frame*(Tier)>;
  void on_shortage(Reclaim reclaim) { reclaim_ = std::move(reclaim); }
  void copy_kept(Tier tier) {
    ++pool(tier).copies;
    note_spare_host();
  }
  void copy_dropped(Tier tier) {
    --pool(tier).copies;
    note_spare_host();
  }
  [[nodiscard]] std::size_t copies(Tier tier) const { return pool(tier).copies; }
  // A host frame without giving up a copy, and without waiting for the driver unless `may_grow`.
  [[nodiscard]] Frame* take_idle_host(bool may_grow);

  // Growing the host's pool beside everything else: begin_growth() under the lock says whether a
  // frame is wanted; the driver is called without it; end_growth() under the lock adds what came.
  [[nodiscard]] bool begin_growth(std::size_t idle_wanted);
  [[nodiscard]] CUresult create(Tier tier, CUmemGenericAllocationHandle* handle);
  void end_growth(CUresult result, CUmemGenericAllocationHandle handle);
  // One is on its way: whoever found no frame may find it shortly.
  [[nodiscard]] bool growing() const { return growing_; }
  // Another device needs host memory: gives up an idle host frame, else one that keeps a copy. Its
  // owner calls this, under the lock; `yield` is what others call.
  bool yield_host();
  void on_others_need(std::function<bool()> yield) { host_member_.yield = std::move(yield); }
  // So many host frames are needed of what other devices have to spare.
  void want_host(std::size_t frames) { host_ledger_.want(frame_size_ * frames, host_member_); }
  // Other devices could give up host memory, but did not just now.
  [[nodiscard]] bool others_may_yield() const {
    return host_ledger_.spare_of_others(host_member_).value != 0;
  }
  // Gives an idle frame back to the driver. False when there is none beyond `keep`.
  bool shrink(Tier tier, std::size_t keep);
  // Makes one ahead of need. False when that many are idle, or no more can be had.
  bool grow(Tier tier, std::size_t idle_wanted);
  // The application came to page-lock what host frames hold, or other devices need it: those that
  // are idle, and those that keep copies, are given back until host_limit holds for all.
  void trim_host();
  // Maps the frame at an address of its own, for good.
  [[nodiscard]] Status ensure_alias(Frame* frame);

  // How many more frames take() may give; the driver may still refuse.
  [[nodiscard]] std::size_t available(Tier tier) const;
  // `available` in HBM without those kept for promotions.
  [[nodiscard]] std::size_t available_hbm_beyond_spare() const;
  [[nodiscard]] std::size_t spare() const { return limits().hbm_spare.value / frame_size_.value; }
  // Frames that regions have to give up before hbm_limit holds again, and before promotions find
  // `spare` ones again (as far as the host has room for them).
  [[nodiscard]] std::size_t owed(std::size_t spare) const;

  // Room has to be made before the driver is asked for it; then it is granted, or refused.
  void native_allocated(Bytes size) noexcept;
  void native_granted(Bytes size) noexcept;
  void native_refused(Bytes size) noexcept;
  void native_freed(Bytes size) noexcept;
  // What the driver's own pools hold now, which counts as native.
  void pools_hold(Bytes size) noexcept;
  [[nodiscard]] Bytes native() const noexcept;
  // Native memory came to need what pooled HBM frames hold.
  [[nodiscard]] bool over_limit() const noexcept;
  // Gives pooled HBM frames, and those that keep copies, to the driver until hbm_limit holds.
  void trim();
  // Brings the statistics in line with what is held.
  void publish() noexcept;
  // Frames that the driver did not take back are held and counted as such; offers them once more.
  void offer_refused();

  [[nodiscard]] std::size_t idle_host() const { return host_.free.size(); }
  [[nodiscard]] Bytes frame_size() const { return frame_size_; }
  [[nodiscard]] Limits limits() const {
    return {{limit_.hbm.load(std::memory_order_relaxed)},
            {limit_.host.load(std::memory_order_relaxed)},
            {limit_.hbm_spare.load(std::memory_order_relaxed)}};
  }
  // What is held beyond them leaves as the pager gets to it.
  void set_limits(Limits limits) noexcept;
  void set_hbm_limit(Bytes hbm, Bytes spare) noexcept;

 private:
  struct Pool {
    std::vector<Frame*> free;
    std::atomic<std::size_t> made{0};
    std::size_t copies = 0;
  };
  Pool& pool(Tier tier) { return tier == Tier::hbm ? hbm_ : host_; }
  [[nodiscard]] const Pool& pool(Tier tier) const { return tier == Tier::hbm ? hbm_ : host_; }
  // Of native(): the driver's already. It takes what is awaited only once there is room for it.
  [[nodiscard]] Bytes granted() const noexcept;
  // Frames that may exist at all now.
  [[nodiscard]] std::size_t capacity(Tier tier) const;
  // Out of which nothing else can come: neither idle nor keeping a copy.
  [[nodiscard]] std::size_t in_use(Tier tier) const;
  [[nodiscard]] Result<Frame*> make(Tier tier);
  // What is made has its place in the limit already.
  [[nodiscard]] Result<Frame*> make_within_limit(Tier tier);
  [[nodiscard]] Frame* record(Frame frame);
  void release(Frame* frame);
  // False when the driver refuses; what was done stays done.
  [[nodiscard]] bool try_to_release(Frame* frame);
  // Whenever host frames came or went.
  void note_spare_host() noexcept;

  const Driver& driver_;
  const Mapper& mapper_;
  Stats& stats_;
  HostLedger& host_ledger_;
  HostLedger::Member host_member_;
  const CUdevice device_;
  const int numa_node_;
  const Bytes frame_size_;
  struct {
    std::atomic<std::uint64_t> hbm{0}, host{0}, hbm_spare{0};
  } limit_;  // read without the lock
  AddressSpace aliases_;
  std::deque<Frame> records_;  // of all frames, whoever uses them; addresses stay
  std::vector<Frame*> unused_records_;
  std::vector<Frame*> refused_;  // by the driver, when they were released
  Pool hbm_, host_;
  std::atomic<std::uint64_t> native_{0}, pooled_{0};
  std::atomic<std::uint64_t> awaited_{0};  // of native_: not the driver's yet
  Reclaim reclaim_;
  bool growing_ = false;
  std::mutex publishing_;  // what is told last was counted last
};

}  // namespace vhbm
