// What a device does once it has begun, which is in device_start.cpp.
#include "runtime/device.h"

#include <algorithm>
#include <thread>

#include "runtime/context_scope.h"
#include "runtime/host_memory.h"
#include "runtime/kv_heat.h"
#include "runtime/log.h"
#include "runtime/pacing.h"

namespace vhbm {
namespace {

// In a row, after which nothing good is expected of the GPU.
constexpr int most_gpu_failures = 3;

}  // namespace

Device::Device(const Driver& driver, const Options& options, Process& process)
    : driver(driver),
      options(options),
      process(process),
      is_first(!process.has_devices.exchange(true)),
      drain(process.drain),
      copier(driver, Copier::most_lanes),
      kernels(driver),
      precopy(driver, stats),
      pool_watch(driver),
      idle(driver),
      leftovers(driver) {}

Device::~Device() {
  // Without frames it never got so far that there could be copies.
  if (frames != nullptr) precopy.finish(*frames);
  if (!quarantine.empty() && copier.poll() == CUDA_SUCCESS) {
    for (Frame* frame : quarantine) frames->give_back(frame);
  }
  for (Region* region : regions.live()) {
    for (std::size_t i = 0; i < region->copies.size(); ++i) {
      if (const CleanCopy copy = take_copy(*region, i); copy.frame != nullptr) {
        frames->give_back(copy.frame);
      }
    }
  }
  if (frames != nullptr) leftovers.retry(*mapper, *frames, space);
  frames.reset();
  // A region that is still alive keeps its mapping, and the window with it.
  if (regions.count() != 0 || !reservations.empty() || !graveyard.empty() || !refused.empty() ||
      !leftovers.empty() || !idle.empty()) {
    process.window.keep();
  } else if (aliases_.size.value != 0) {
    driver.cuMemAddressFree(aliases_.begin.value, aliases_.size.value);
  }
}

void Device::freeze(const char* why, FreezeCause cause) noexcept {
  if (!stats.freeze(cause)) return;
  try {
    const LogLevel level = cause == FreezeCause::invariant ? LogLevel::error : LogLevel::warn;
    log_as(level, "{}: nothing moves between HBM and host any more; the process goes on as it is",
           why);
  } catch (...) {
  }
}

void Device::gpu_failed(const char* why) noexcept {
  stats.add(Stat::driver_errors, 1);
  if (++gpu_failures_ >= most_gpu_failures) freeze(why);
}

bool Device::move(DeviceAddress chunk, PageState from, PageState to) noexcept {
  const ChunkId first = page_of(chunk);
  for (std::uint32_t page = 0; page < pages_per_chunk(); ++page) {
    if (pages.move({first.value + page}, from, to)) continue;
    freeze("a chunk was not in the state that its move starts from");
    return false;
  }
  return true;
}

void Device::keep_copy(Region& region, std::size_t chunk, CleanCopy copy) noexcept {
  region.copies[chunk] = copy;
  frames->copy_kept(copy.frame->tier);
  stats.set(Stat::clean_copy_bytes, (frames->frame_size() * frames->copies(Tier::host)).value);
}

CleanCopy Device::take_copy(Region& region, std::size_t chunk) noexcept {
  CleanCopy taken;
  std::swap(taken, region.copies[chunk]);
  if (taken.frame == nullptr) return taken;
  frames->copy_dropped(taken.frame->tier);
  stats.set(Stat::clean_copy_bytes, (frames->frame_size() * frames->copies(Tier::host)).value);
  return taken;
}

void Device::drop_arrivals() noexcept {
  while (frames->copies(Tier::hbm) != 0) {
    Frame* frame = reclaim_copy(Tier::hbm);
    if (frame == nullptr) return;
    frames->give_back(frame);
  }
}

Frame* Device::reclaim_copy(Tier tier) {
  Region* poorest = nullptr;
  std::size_t index = 0;
  // What was used last stays longest in HBM, so its copy is needed last.
  std::uint64_t latest = 0;
  for (Region* region : regions.live()) {
    const std::uint64_t used = regions.last_use(region->index);
    if (poorest != nullptr && used <= latest) continue;
    const auto has_copy = [tier](const CleanCopy& copy) {
      return copy.frame != nullptr && copy.frame->tier == tier;
    };
    const auto found = std::find_if(region->copies.begin(), region->copies.end(), has_copy);
    if (found == region->copies.end()) continue;
    poorest = region;
    index = static_cast<std::size_t>(found - region->copies.begin());
    latest = used;
  }
  return poorest == nullptr ? nullptr : take_copy(*poorest, index).frame;
}

void Device::learn_uses() {
  const std::uint64_t before = steps.seen();
  const bool recorded = recording.is_on();
  const bool whole = uses.read([&](Use use) {
    steps.used(use);
    if (recorded) recording.used(use);
  });
  if (!whole) {
    steps.interrupted();
    recording.uses_lost();
  }
  uses_in_a_round = std::max(steps.seen() - before, uses_in_a_round / 2);
  stats.set(Stat::uses_seen, steps.seen());
  stats.set(Stat::uses_foreseen, steps.foreseen());
}

bool Device::make_room(std::chrono::nanoseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (frames->over_limit()) {
    {
      std::lock_guard guard(lock);
      frames->trim();
      if (!frames->over_limit()) return true;
      const bool possible = frames->native() <= hbm_ceiling() || !leftovers.empty();
      if (!possible || frozen() || drain.capturing()) return false;
    }
    // Pooled frames were not enough: the pager has to evict.
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

void Device::give_back(std::vector<Frame*>& unused) noexcept {
  for (Frame* frame : unused) {
    if (!quarantine.empty() || !leftovers.empty()) {
      quarantine.push_back(frame);
    } else {
      precopy.give_back(frame, *frames);
    }
  }
  unused.clear();
}

void Device::account(Region& region, Bytes host_mapped) noexcept {
  const Bytes before = regions.host_mapped(region.index);
  regions.set_host_mapped(region.index, host_mapped);
  // Unsigned arithmetic: a decrease wraps around to the right sum.
  stats.add(Stat::host_mapped_bytes, host_mapped.value - before.value);
  stats.add(Stat::resident_bytes, before.value - host_mapped.value);
}

Frames::Limits Device::limits_of(const Options& chosen, Capacity capacity, Bytes chunk) {
  Frames::Limits limits{capacity.hbm, capacity.host, {}};
  if (limits.host >= chunk) limits.hbm_spare = spare_of(chosen, limits.hbm, chunk);
  return limits;
}

void Device::set(const OptionRow& row, const Options& changed) {
  const std::lock_guard guard(lock);
  (void)row.read(row.write(changed), options);
  recording.option_set(row.name, row.write(options));
  const Bytes held{stats.get(Stat::hbm_bytes)};
  const Bytes free_now = free_hbm().value_or(Bytes{});
  const Bytes locked{stats.get(Stat::host_bytes)};
  Capacity capacity =
      capacity_of(options, total, free_now + held, available_host_memory() + locked);
  const std::string_view name(row.name);
  const Frames::Limits before = frames->limits();
  // The other limit stays what it was made of when the process started.
  if (name == "hbm_limit") {
    capacity.host = before.host;
    ceiling_.store(capacity.hbm.value);
  } else if (name == "host_limit") {
    capacity.hbm = before.hbm;
    process.host.set_limit(capacity.host);
  } else {
    return;
  }
  frames->set_limits(limits_of(options, capacity, frames->frame_size()));
}

void Device::grant_hbm(Bytes grant) noexcept {
  const Frames::Limits limits = limits_of(
      options, {std::min(grant, hbm_ceiling()), frames->limits().host}, frames->frame_size());
  frames->set_hbm_limit(limits.hbm, limits.hbm_spare);
}

Bytes Device::most_spare() const noexcept {
  return limits_of(options, {hbm_ceiling(), frames->limits().host}, frames->frame_size()).hbm_spare;
}

std::optional<Bytes> Device::free_hbm() const noexcept {
  CUcontext context = copier.context();
  if (context == nullptr) context = context_here();
  const ContextScope scope(driver, context);
  std::size_t free = 0, all = 0;
  if (context == nullptr || scope.result() != CUDA_SUCCESS ||
      driver.cuMemGetInfo_v2(&free, &all) != CUDA_SUCCESS) {
    return std::nullopt;
  }
  return Bytes{free};
}

CUcontext Device::context_here() const {
  for (CUcontext context : drain.contexts()) {
    ContextScope scope(driver, context);
    CUdevice device = 0;
    if (scope.result() != CUDA_SUCCESS || driver.cuCtxGetDevice(&device) != CUDA_SUCCESS) continue;
    if (device == ordinal) return context;
  }
  return nullptr;
}

std::size_t Device::most_at_once() const {
  if (kernels.usable()) return kernels.most();
  const std::uint64_t flip = options.flip_size.resolve(frames->limits().hbm, mib(64)).value;
  // In both directions at once.
  return 2 * std::max<std::size_t>(flip / frames->frame_size().value, 1);
}

bool Device::prepare_copies() {
  if (copier.context() == nullptr) {
    const CUcontext context = context_here();
    if (context == nullptr || copier.prepare(context) != CUDA_SUCCESS) return false;
  }
  if (kernels.usable() || kernels.given_up()) return true;
  if (Status status = kernels.prepare(copier.context(), copier.stream(), most_at_once());
      !status.ok()) {
    log_info("evictions are copied behind the gate: {}", status.message());
  }
  return true;
}

}  // namespace vhbm
