// Which chunks of a KV cache are in use, where a layout says how a server's kernels find their
// blocks: a look at the block table is queued before such a kernel, now and then, and the pager
// takes what it saw. A prediction: bytes never depend on it. Invariant: a look reads memory of the
// application only while that is there, and writes page-locked memory of its own only. Locking:
// launch() none, but a mutex of its own for the few launches that look; memory_goes() that mutex;
// the rest the device's lock.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "runtime/kv_guards.h"
#include "runtime/kv_layouts.h"
#include "runtime/kv_probe.h"
#include "runtime/kv_span.h"
#include "runtime/status.h"
#include "runtime/units.h"

namespace vhbm {

struct Device;
struct Region;

// A launch of a kernel that a layout describes.
struct KvLaunch {
  KvLaunchShape shape;
  CUstream stream;  // as the plain functions take it: null is the legacy one
  CUcontext context;
  bool captured;
};

// How full of what is in use the chunks of a region are, or of several.
struct KvUse {
  Bytes size;           // of them
  Bytes used;           // in blocks that were in use within the last second of use
  Bytes touched;        // in chunks with such a block
  Bytes resident;       // in chunks that are in HBM
  Bytes resident_used;  // of `used`, in HBM
  Bytes touched_away;   // of `touched`, in host memory

  KvUse& operator+=(const KvUse& other);
};

// Whether what is in use does not fit into so much of HBM for being scattered over chunks.
[[nodiscard]] bool scattered(const KvUse& use, Bytes room);

class KvHeat {
 public:
  explicit KvHeat(Device& device) : device_(device), probe_(driver()) {}
  KvHeat(const KvHeat&) = delete;
  KvHeat& operator=(const KvHeat&) = delete;

  // In the current context. On failure nothing is ever looked at.
  [[nodiscard]] Status start();

  // Hot. Whether a launch that is not captured is to look.
  [[nodiscard]] bool wants(const KvMatch& match, const KvLaunchShape& shape) const noexcept;
  // Inside the gate, before the kernel itself, which is captured or wants() a look.
  void launch(KvMatch& match, const KvLaunch& launch) noexcept;
  // Memory in this range, of whatever kind, is about to be freed or unmapped.
  void memory_goes(DeviceAddress base, Bytes size) noexcept;
  void context_destroyed(CUcontext context);

  // Takes what looks saw, and asks for others; a few times a second at most.
  void round();
  // Chunks of the region that were used since then are in use, the others not; nullopt where that
  // is not known, and the region counts as a whole.
  [[nodiscard]] std::optional<Epoch> in_use_since(const Region& region) const;
  // nullopt where nothing is known.
  [[nodiscard]] std::optional<KvUse> use_of(const Region& region) const;
  // What would cure that what is in use does not fit, being scattered, by the layout; empty
  // without.
  [[nodiscard]] std::string cure() const;

  struct Told {
    DeviceAddress begin;
    Bytes size, granule;
    std::string server;
    std::uint64_t caches, looks, entries, strays;
    std::optional<KvUse> use;
  };
  [[nodiscard]] std::vector<Told> tell() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Reading;

  [[nodiscard]] const Driver& driver() const;
  // The view of the cache that a launch is about; nullptr where there is none yet.
  [[nodiscard]] KvView* view_before(const KvMatch& match, const KvLaunchShape& shape,
                                    bool* ours) const noexcept;
  void build_and_launch(KvMatch& match, const KvLaunch& launch);
  // What of [address, ...) may be read, by entries of `size` bytes; why not.
  [[nodiscard]] const char* readable(std::uint64_t address, std::uint64_t size, bool captured,
                                     Reading& reading);
  [[nodiscard]] const char* add_cache(const KvKernel& kernel, const KvLaunch& launch, bool values,
                                      KvMatch& match, KvProbeRequest& request);
  [[nodiscard]] const char* fill(const KvKernel& kernel, const KvLaunch& launch, KvMatch& match,
                                 KvProbeRequest& request);
  [[nodiscard]] bool guard(const KvGuard& one, KvProbeRequest& request) const;
  // Of the region with that index and base.
  [[nodiscard]] KvSpan* span_of(std::uint32_t region, DeviceAddress base) const noexcept;
  [[nodiscard]] KvSpan* span_of(std::uint32_t region) const noexcept;
  [[nodiscard]] KvSpan* make_span(std::uint32_t region, DeviceAddress begin, Bytes size,
                                  std::uint64_t alignment);
  [[nodiscard]] KvView* view_of(KvSpan& span, std::uint64_t first, bool partial);
  void collect(KvSpan& span, Epoch now);
  void judge(KvView& view);
  void off(const char* why) noexcept;
  // So many rounds of the pager are about a second.
  [[nodiscard]] Epoch second() const;

  static constexpr std::size_t most_spans = 1024;

  Device& device_;
  KvProbe probe_;
  std::atomic<bool> on_{false};
  std::atomic<bool> any_{false};  // memory is watched
  mutable std::mutex mutex_;
  KvGuards guards_;
  std::array<std::atomic<KvSpan*>, most_spans> spans_{};  // by number, from 1; of `all_`
  std::deque<KvSpan> all_;
  std::size_t words_used_ = 0;
  // Pieces of the marks that spans left behind.
  std::size_t marks_used_ = 0;
  std::vector<std::pair<std::size_t, std::size_t>> free_marks_;  // where, how many
  Clock::time_point next_{};
  // Of all views that ever were: the pager's.
  std::uint64_t looks_ = 0, entries_ = 0, strays_ = 0;
};

}  // namespace vhbm
