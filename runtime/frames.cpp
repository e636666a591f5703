// Pools are stacks: the frame given back last is the next one taken.
#include "runtime/frames.h"

#include <algorithm>
#include <chrono>

#include "runtime/pacing.h"

namespace vhbm {
namespace {

// The driver packs small allocations into blocks of this size.
constexpr Bytes native_block = mib(2);
constexpr auto relaxed = std::memory_order_relaxed;

// Never below nothing, should a free be reported that was not seen being made.
void take_off(std::atomic<std::uint64_t>& sum, Bytes size) noexcept {
  std::uint64_t held = sum.load(relaxed);
  while (!sum.compare_exchange_weak(held, saturating_minus({held}, size).value, relaxed)) {
  }
}

}  // namespace

Frames::Frames(const Driver& driver, const Mapper& mapper, Stats& stats, HostLedger& host,
               CUdevice device, int numa_node, Bytes frame_size, Limits limits,
               AddressSpace aliases)
    : driver_(driver),
      mapper_(mapper),
      stats_(stats),
      host_ledger_(host),
      device_(device),
      numa_node_(numa_node),
      frame_size_(frame_size),
      aliases_(std::move(aliases)) {
  set_limits(limits);
  host_member_.yield = [] { return false; };
  host_ledger_.join(&host_member_);
}

Frames::~Frames() {
  host_ledger_.leave(&host_member_);
  for (Pool* pool : {&hbm_, &host_}) {
    for (Frame* frame : pool->free) release(frame);
  }
  offer_refused();
}

void Frames::set_hbm_limit(Bytes hbm, Bytes spare) noexcept {
  limit_.hbm.store(hbm.value, relaxed);
  limit_.hbm_spare.store(spare.value, relaxed);
  stats_.set(Stat::hbm_limit, hbm.value);
}

void Frames::set_limits(Limits limits) noexcept {
  set_hbm_limit(limits.hbm, limits.hbm_spare);
  limit_.host.store(limits.host.value, relaxed);
  stats_.set(Stat::host_limit, limits.host.value);
}

std::size_t Frames::capacity(Tier tier) const {
  if (tier == Tier::hbm) {
    return saturating_minus(limits().hbm, native()).value / frame_size_.value;
  }
  return host_.made.load(std::memory_order_relaxed) +
         host_ledger_.left(host_member_).value / frame_size_.value;
}

std::size_t Frames::in_use(Tier tier) const {
  const Pool& from = pool(tier);
  return from.made.load(std::memory_order_relaxed) - from.free.size() - from.copies;
}

std::size_t Frames::available(Tier tier) const {
  return frames_left(capacity(tier), in_use(tier));
}

std::size_t Frames::available_hbm_beyond_spare() const {
  return frames_left(available(Tier::hbm), spare());
}

std::size_t Frames::owed(std::size_t spare) const {
  return frames_owed(capacity(Tier::hbm), in_use(Tier::hbm), spare, available(Tier::host));
}

Result<Frame*> Frames::take(Tier tier) {
  if (available(tier) == 0) return Status(Errc::out_of_memory, "the limit is reached");
  Pool& from = pool(tier);
  if (from.free.empty()) {
    const bool may_grow = from.made.load(std::memory_order_relaxed) < capacity(tier);
    auto made = may_grow ? make(tier) : Status(Errc::out_of_memory, "the limit is reached");
    if (made.ok()) return made;
    Frame* frame = from.copies != 0 && reclaim_ ? reclaim_(tier) : nullptr;
    if (frame == nullptr) return made;
    if (tier == Tier::host) want_host(0);
    return frame;
  }
  Frame* frame = from.free.back();
  from.free.pop_back();
  note_spare_host();
  return frame;
}

Result<Frame*> Frames::take_promised() {
  host_ledger_.drop_promise(frame_size_);
  for (const Tier tier : {Tier::host, Tier::hbm}) {
    auto taken = take(tier);
    if (taken.ok()) return taken;
  }
  keep_promise();
  host_ledger_.take_promised(frame_size_);
  auto made = make_within_limit(Tier::host);
  if (!made.ok()) keep_promise();
  return made;
}

Frame* Frames::take_idle_host(bool may_grow) {
  if (host_.free.empty()) {
    if (!may_grow || host_.made.load(std::memory_order_relaxed) >= capacity(Tier::host)) {
      return nullptr;
    }
    auto made = make(Tier::host);
    return made.ok() ? *made : nullptr;
  }
  Frame* frame = host_.free.back();
  host_.free.pop_back();
  note_spare_host();
  return frame;
}

CUresult Frames::create(Tier tier, CUmemGenericAllocationHandle* handle) {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  if (tier == Tier::hbm) {
    properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, device_};
  } else {
    properties.location = {CU_MEM_LOCATION_TYPE_HOST_NUMA, numa_node_};
  }
  return driver_.cuMemCreate(handle, frame_size_.value, &properties, 0);
}

Frame* Frames::record(Frame made) {
  if (unused_records_.empty()) return &records_.emplace_back(made);
  Frame* frame = unused_records_.back();
  unused_records_.pop_back();
  *frame = made;
  return frame;
}

Result<Frame*> Frames::make(Tier tier) {
  if (tier == Tier::host && !host_ledger_.take(frame_size_, host_member_)) {
    return Status(Errc::out_of_memory, "host_limit is reached");
  }
  return make_within_limit(tier);
}

Result<Frame*> Frames::make_within_limit(Tier tier) {
  CUmemGenericAllocationHandle handle = 0;
  const auto begin = std::chrono::steady_clock::now();
  const CUresult result = create(tier, &handle);
  if (tier == Tier::host) {
    const std::chrono::nanoseconds spent = std::chrono::steady_clock::now() - begin;
    stats_.add(Stat::host_growth_ns, static_cast<std::uint64_t>(spent.count()));
  }
  if (result != CUDA_SUCCESS) {
    if (tier == Tier::host) host_ledger_.give_back(frame_size_);
    if (result != CUDA_ERROR_OUT_OF_MEMORY) stats_.add(Stat::driver_errors, 1);
    return Status::driver(result, "cuMemCreate");
  }
  pool(tier).made.fetch_add(1, std::memory_order_relaxed);
  publish();
  return record({handle, tier, {}});
}

bool Frames::begin_growth(std::size_t idle_wanted) {
  if (host_.free.size() >= idle_wanted) return false;
  if (!host_ledger_.take_unused(frame_size_, host_member_)) return false;
  host_.made.fetch_add(1, std::memory_order_relaxed);
  growing_ = true;
  return true;
}

void Frames::end_growth(CUresult result, CUmemGenericAllocationHandle handle) {
  growing_ = false;
  if (result == CUDA_SUCCESS) {
    host_.free.push_back(record({handle, Tier::host, {}}));
    note_spare_host();
  } else {
    host_.made.fetch_sub(1, std::memory_order_relaxed);
    host_ledger_.give_back(frame_size_);
  }
  publish();
}

bool Frames::shrink(Tier tier, std::size_t keep) {
  Pool& from = pool(tier);
  if (from.free.size() <= keep) return false;
  Frame* frame = from.free.back();
  from.free.pop_back();
  note_spare_host();
  release(frame);
  publish();
  return true;
}

bool Frames::grow(Tier tier, std::size_t idle_wanted) {
  Pool& to = pool(tier);
  if (to.free.size() >= idle_wanted || to.made.load(relaxed) >= capacity(tier)) return false;
  const auto made = make(tier);
  if (!made.ok()) return false;
  give_back(*made);
  return true;
}

bool Frames::yield_host() {
  if (shrink(Tier::host, 0)) return true;
  Frame* frame = host_.copies != 0 && reclaim_ ? reclaim_(Tier::host) : nullptr;
  if (frame == nullptr) return false;
  release(frame);
  publish();
  return true;
}

void Frames::note_spare_host() noexcept {
  const Bytes spare = frame_size_ * (host_.free.size() + host_.copies);
  host_member_.spare.store(spare.value, std::memory_order_relaxed);
}

void Frames::give_back(Frame* frame) {
  if (frame->stands_in_for != 0) {
    host_ledger_.drop_promise(frame_size_);
    if (--frame->stands_in_for != 0) return;
  }
  pool(frame->tier).free.push_back(frame);
  note_spare_host();
  if (frame->tier == Tier::hbm && over_limit()) trim();
}

void Frames::stood_in(Frame* stand_in, const Frame* frame) {
  --stand_in->stands_in_for;
  if (frame == stand_in) {
    host_ledger_.drop_promise(frame_size_);
  } else if (stand_in->stands_in_for == 0) {
    give_back(stand_in);
  }
}

Status Frames::ensure_alias(Frame* frame) {
  if (frame->alias.value != 0) return {};
  const auto address = aliases_.carve(frame_size_, frame_size_);
  if (!address) return {Errc::out_of_memory, "no address is left for a frame"};
  const CUmemGenericAllocationHandle handle = frame->handle;
  if (Status status = mapper_.map(*address, {&handle, 1}, frame_size_); !status.ok()) {
    aliases_.give_back(*address, frame_size_);
    return status;
  }
  frame->alias = *address;
  return {};
}

void Frames::release(Frame* frame) {
  if (try_to_release(frame)) return;
  refused_.push_back(frame);
  stats_.add(Stat::refused_bytes, frame_size_.value);
}

bool Frames::try_to_release(Frame* frame) {
  if (frame->alias.value != 0) {
    if (!mapper_.unmap(frame->alias, frame_size_).ok()) return false;
    aliases_.give_back(frame->alias, frame_size_);
    frame->alias = {};
  }
  if (driver_.cuMemRelease(frame->handle) != CUDA_SUCCESS) {
    stats_.add(Stat::driver_errors, 1);
    return false;
  }
  pool(frame->tier).made.fetch_sub(1, std::memory_order_relaxed);
  if (frame->tier == Tier::host) host_ledger_.give_back(frame_size_);
  unused_records_.push_back(frame);
  return true;
}

void Frames::offer_refused() {
  if (refused_.empty()) return;
  const std::size_t taken =
      std::erase_if(refused_, [&](Frame* frame) { return try_to_release(frame); });
  // Unsigned arithmetic: a decrease wraps around to the right sum.
  stats_.add(Stat::refused_bytes, Bytes{0}.value - frame_size_.value * taken);
  publish();
}

Bytes Frames::native() const noexcept {
  // The driver packs small allocations into blocks; pools tell what they really hold.
  return Bytes{native_.load(relaxed)}.rounded_up_to(native_block) + Bytes{pooled_.load(relaxed)};
}

Bytes Frames::granted() const noexcept {
  const Bytes native{native_.load(relaxed)};
  const Bytes given = saturating_minus(native, {awaited_.load(relaxed)});
  return given.rounded_up_to(native_block) + Bytes{pooled_.load(relaxed)};
}

bool Frames::over_limit() const noexcept {
  return frame_size_ * hbm_.made.load(std::memory_order_relaxed) + native() > limits().hbm;
}

void Frames::native_allocated(Bytes size) noexcept {
  awaited_.fetch_add(size.value, relaxed);
  native_.fetch_add(size.value, relaxed);
}

void Frames::native_granted(Bytes size) noexcept {
  take_off(awaited_, size);
  publish();
}

void Frames::native_refused(Bytes size) noexcept {
  take_off(native_, size);
  native_granted(size);
}

void Frames::native_freed(Bytes size) noexcept {
  take_off(native_, size);
  publish();
}

void Frames::pools_hold(Bytes size) noexcept {
  if (pooled_.exchange(size.value, relaxed) != size.value) publish();
}

void Frames::trim_host() {
  while (host_ledger_.over_limit(host_member_)) {
    if (!yield_host()) break;
  }
}

void Frames::trim() {
  while (over_limit()) {
    if (hbm_.free.empty()) {
      Frame* frame = hbm_.copies != 0 && reclaim_ ? reclaim_(Tier::hbm) : nullptr;
      if (frame == nullptr) break;
      hbm_.free.push_back(frame);
    }
    Frame* frame = hbm_.free.back();
    hbm_.free.pop_back();
    release(frame);
  }
  if (!over_limit()) publish();
}

void Frames::publish() noexcept {
  const std::lock_guard lock(publishing_);
  // Threads that free or allocate natively meanwhile: never the sum of what was held at two times.
  const Bytes before = granted();
  const Bytes frames = frame_size_ * hbm_.made.load(std::memory_order_relaxed);
  const Bytes hbm = frames + std::min(before, granted());
  stats_.set(Stat::native_bytes, native_.load(relaxed) + pooled_.load(relaxed));
  stats_.set(Stat::hbm_bytes, hbm.value);
  stats_.raise(Stat::peak_hbm_bytes, hbm.value);
  stats_.set(Stat::host_bytes, frame_size_.value * host_.made.load(std::memory_order_relaxed));
}

}  // namespace vhbm
