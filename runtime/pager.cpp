// See pager.h.
#include "runtime/pager.h"

#include <algorithm>
#include <unordered_map>

#include "runtime/context_scope.h"
#include "runtime/kv_heat.h"
#include "runtime/log.h"
#include "runtime/migration.h"
#include "runtime/pacing.h"

namespace vhbm {
namespace {

// Evidence grows slowly.
constexpr std::chrono::milliseconds between_taggings{250};
// How long a freed region waits for an allocation that it fits.
constexpr std::chrono::seconds idle_patience{1};
// The driver's own pools are asked what they hold, which takes its lock.
constexpr std::chrono::milliseconds between_pool_looks{20};
// Before trying again what cannot soon succeed.
constexpr std::chrono::milliseconds after_failure{100};
// A quiet GPU is rare where work goes on, so a flip then brings more.
constexpr std::uint64_t flips_in_one_return = 16;
// How sure a tag by evidence has to be for a promise about weights to hold for a region.
constexpr unsigned surely = 90;

}  // namespace

Pager::Pager(Device& device, Allocator& allocator, Gate& gate, Decisions decisions)
    : device_(device),
      allocator_(allocator),
      gate_(gate),
      decisions_(decisions),
      pace_(device),
      region_publisher_(device) {}

Status Pager::start() {
  return worker_.start("vhbm-pager", device_.options.pager_interval, [this] { round_safely(); });
}

void Pager::stop() noexcept {
  worker_.stop();
  publish();
}

void Pager::round_safely() noexcept {
  quiet_points_.round_begins();
  try {
    round();
  } catch (...) {
    device_.freeze("the pager ran out of memory");
  }
  quiet_points_.round_ends();
}

bool Pager::ahead_of_copy_rate() const {
  const std::uint64_t rate = device_.options.copy_rate.value;
  // What was copied ahead for the next flip is worth less the longer it waits.
  if (rate == 0 || copied_ahead_ || device_.frames->over_limit()) return false;
  const std::chrono::duration<double> least(static_cast<double>(copied_for_flip_.value) /
                                            static_cast<double>(rate));
  return device_.repairs.empty() && Clock::now() - copying_since_ < least;
}

Bytes Pager::copied() const {
  const Stats& stats = device_.stats;
  const Bytes out{stats.get(Stat::evicted_bytes)}, clean{stats.get(Stat::clean_evicted_bytes)};
  return Bytes{stats.get(Stat::promoted_bytes)} + saturating_minus(out, clean) +
         Bytes{stats.get(Stat::precopied_bytes)};
}

void Pager::publish() noexcept {
  if (!device_.is_first) return;
  device_.stats.set(Stat::launches, device_.process.gate.launches());
  device_.stats.set(Stat::gate_waits, gate_.waits());
  device_.stats.set(Stat::gate_wait_ns, static_cast<std::uint64_t>(gate_.waited().count()));
}

void Pager::round() {
  RelaxedCapture relaxed(device_.driver);
  device_.now.fetch_add(1, std::memory_order_relaxed);
  publish();
  region_publisher_.round();
  // The answer to `vhbm off`: whatever moves does so in this thread, so nothing is on its way.
  if (device_.stats.freeze_requested()) device_.freeze("vhbm off", FreezeCause::request);
  // Whoever gathers a region waits for the copies that are under way to be collected.
  const bool awaited = device_.gatherings.load(std::memory_order_relaxed) != 0;
  if (device_.broken()) return;
  pace_.rest_after_waking();
  if (pace_.resting() && !awaited) return only_observe();
  if (Clock::now() >= next_pool_look_) {
    device_.frames->pools_hold(device_.pool_watch.held());
    next_pool_look_ = Clock::now() + between_pool_looks;
  }
  std::lock_guard lock(device_.lock);
  device_.learn_uses();
  device_.recording.round();
  if (device_.kv != nullptr) device_.kv->round();
  if (device_.frames->over_limit()) device_.frames->trim();
  if (!clean_up() || !collect_copies()) return;
  observe_regions();
  // Whoever puts the process to sleep waits for the chunks that are to be put right.
  if (device_.process.sleep.load() != SleepState::awake && device_.repairs.empty()) {
    copied_ahead_ = false;  // what leaves HBM now drops it
    return;
  }
  if (device_.frozen() || pace_.resting() || ahead_of_copy_rate() || decisions_.plan == nullptr)
    return;
  const Plan plan = make_plan();
  if (plan.empty() || is_back()) end_return();
  if (plan.empty()) {
    device_.drop_arrivals();
    quiet_points_.give_up();
    return;
  }
  if (!copied_ahead_) {
    copying_since_ = Clock::now();
    copied_before_ = copied();
    copied_for_flip_ = {};
  }
  if (copy_ahead(plan) || quiet_points_.wait(device_.frames->over_limit())) return;
  copied_ahead_ = false;
  carry_out(plan);
}

void Pager::carry_out(Plan plan) {
  memory_ = plan.memory;
  const bool repairs = !device_.repairs.empty();
  const auto moved = [&](const Flip& flip, Flip::Outcome outcome) {
    device_.recording.moved(flip, static_cast<unsigned>(outcome),
                            repairs ? recording::Cause::repair : recording::Cause::pager,
                            quiet_points_.at_one());
    if (outcome == Flip::Outcome::done && quiet_points_.at_one()) {
      device_.stats.add(Stat::flips_at_quiet_points, 1);
    }
    count(outcome);
  };
  Flip flip(device_, gate_);
  Flip::Outcome outcome = Flip::Outcome::done;
  if (plan.at_once) {
    const Frames& frames = *device_.frames;
    const Clock::time_point until = Clock::now() + pace_.saved();
    const auto next = [&] {
      return take_flip(plan, device_.options, frames.limits().hbm, frames.frame_size(),
                       frames.available(Tier::hbm));
    };
    outcome = flip.run(next(), pace_.patience(), [&] {
      moved(flip, Flip::Outcome::done);
      for (Flip::Outcome last = Flip::Outcome::done;
           last == Flip::Outcome::done && !plan.empty() && Clock::now() < until;) {
        Flip another(device_, gate_);
        last = another.go_on(next());
        moved(another, last);
      }
    });
  } else {
    outcome = flip.run(plan, pace_.patience());
  }
  if (!plan.at_once || outcome != Flip::Outcome::done) moved(flip, outcome);
  copied_for_flip_ = saturating_minus(copied(), copied_before_);
  // Nothing to be moved: the regions are gone.
  if (outcome == Flip::Outcome::done || outcome == Flip::Outcome::no_memory)
    device_.repairs.clear();
  device_.precopy.start_checks(device_.kernels, *device_.frames);
  judge();
  pace_.learn(outcome, flip.drained_in());
  const bool again_soon = outcome == Flip::Outcome::done || outcome == Flip::Outcome::deadline;
  pace_.rest_after(flip.stall(), again_soon ? std::chrono::milliseconds(0) : after_failure,
                   plan.at_once);
}

void Pager::only_observe() {
  std::lock_guard lock(device_.lock);
  device_.learn_uses();
  device_.recording.round();
  if (device_.kv != nullptr) device_.kv->round();
  observe_regions();
}

bool Pager::clean_up() {
  const bool given_up = !device_.leftovers.empty() && device_.copier.context() != nullptr;
  if (!device_.quarantine.empty() || given_up) {
    const CUresult landed = device_.copier.poll();
    if (landed != CUDA_SUCCESS) {
      if (landed != CUDA_ERROR_NOT_READY) device_.gpu_failed("copies between HBM and host fail");
      return false;
    }
    for (Frame* frame : device_.quarantine) device_.frames->give_back(frame);
    device_.quarantine.clear();
  }
  if (Clock::now() >= next_offer_) {
    device_.frames->offer_refused();
    device_.leftovers.retry(*device_.mapper, *device_.frames, device_.space);
    allocator_.retry_refused();
    next_offer_ = Clock::now() + after_failure;
  }
  // Before live regions have to leave.
  const bool needed = room().owed != 0 || device_.frames->over_limit();
  allocator_.give_up_idle(needed ? Clock::now() : Clock::now() - idle_patience);
  if (device_.graveyard.empty() || device_.drain.capturing() ||
      device_.process.sleep.load() != SleepState::awake) {
    return true;
  }
  Quiesce quiesce(gate_, device_.drain, device_.stats, device_.stalls, pace_.patience());
  quiesce.reopen();
  device_.recording.closed(quiesce);
  // Nothing submitted before the frees is in flight, and what comes now does not name freed memory.
  if (quiesce.outcome() == Quiesce::Outcome::quiet) allocator_.empty_graveyard();
  if (quiesce.outcome() == Quiesce::Outcome::failed) device_.gpu_failed("the GPU reports errors");
  pace_.rest_after(quiesce.stall(), std::chrono::milliseconds(0));
  return true;
}

void Pager::observe_regions() {
  const auto regions = device_.regions.live();
  const Epoch now = device_.now.load(std::memory_order_relaxed);
  for (Region* region : regions) {
    ++region->rounds_alive;
    const Epoch used = device_.regions.last_use(region->index);
    if (used != 0 && used + 1 >= now) ++region->rounds_used;
  }
  if (decisions_.guess_tag == nullptr || Clock::now() < next_tagging_) return;
  next_tagging_ = Clock::now() + between_taggings;
  std::unordered_map<std::uint64_t, std::uint64_t> of_size;
  for (const Region* region : regions) ++of_size[region->view.size.value];
  for (Region* region : regions) {
    if (region->tag.confidence == 100) continue;  // the user's word
    RegionHistory history = device_.regions.history(*region);
    history.of_equal_size = of_size[region->view.size.value];
    region->tag = decisions_.guess_tag(history);
  }
}

bool Pager::collect_copies() {
  if (!device_.precopy.in_flight()) return true;
  const auto keep = [&](Region& region, std::size_t chunk, CleanCopy copy) {
    device_.keep_copy(region, chunk, copy);
  };
  const auto broken = [&](Region& region, std::size_t chunk, CleanCopy left) {
    promise_broken(region, chunk, left);
  };
  const CUresult landed =
      device_.precopy.collect(device_.kernels, *device_.frames, {keep, keep, broken});
  if (landed == CUDA_ERROR_NOT_READY) return false;
  if (landed != CUDA_SUCCESS) device_.gpu_failed("copies ahead of evictions fail");
  return landed == CUDA_SUCCESS;
}

bool Pager::copy_ahead(const Plan& plan) {
  // Once a flip: victims that change from round to round must not keep it waiting for ever.
  if (!device_.options.precopy || copied_ahead_ || device_.frames->over_limit()) return false;
  if (device_.gatherings.load(std::memory_order_relaxed) != 0) return false;
  if (device_.drain.capturing() || !device_.prepare_copies() || !device_.kernels.usable()) {
    return false;
  }
  std::vector<Precopy::Chunk> moving;
  const auto add = [&](ChunkId id, bool arrives) {
    const DeviceAddress address = device_.space.begin() + base_page * id.value;
    Region* region = device_.regions.region_at(address);
    if (region == nullptr || (arrives && !promised(*region))) return;
    moving.push_back({region, (address - region->view.base).value / region->chunk_size.value});
  };
  for (const ChunkId id : plan.evict) add(id, false);
  for (const ChunkId id : plan.promote) add(id, true);
  copied_ahead_ =
      device_.precopy.start(device_.copier.context(), moving, device_.kernels, *device_.frames);
  return copied_ahead_;
}

bool Pager::promised(const Region& region) const {
  return device_.options.weights_are_readonly && promise_holds_ && region.tag.tag == Tag::weights &&
         region.tag.confidence >= surely && region.chunks_changed == 0 &&
         device_.regions.written(region.index) == region.written_when_quiet;
}

void Pager::promise_broken(Region& region, std::size_t chunk, CleanCopy left) {
  // As long as nothing else wrote to the chunk, its eviction brings back what the kernel wrote.
  device_.keep_copy(region, chunk, left);
  device_.repairs.push_back(device_.page_of(region.address_of(chunk)));
  device_.stats.add(Stat::promises_broken, 1);
  if (promise_holds_) {
    log_error(
        "weights_are_readonly is not true: a kernel wrote to the region of {} bytes at {:#x} while "
        "it came to HBM, and kernels after it may have read old bytes; the promise is withdrawn",
        region.view.size.value, region.view.base.value);
  }
  promise_holds_ = false;
}

void Pager::judge() {
  ThrashGuard& guard = device_.thrash_guard;
  guard.judge(Clock::now(), guard_sample(device_.options, device_.frames->limits().hbm));
  device_.stats.set(Stat::moved_in_vain_bytes, guard.in_vain().value);
  device_.stats.set(Stat::thrash_guard_verdicts, guard.verdicts());
}

HbmRoom Pager::room() const {
  const Frames& frames = *device_.frames;
  HbmRoom made{frames.frame_size(), frames.available(Tier::hbm)};
  const std::uint64_t outside = device_.stats.get(Stat::host_mapped_bytes) / made.frame.value;
  made.spare = frames_to_spare(frames.spare(), made.left, outside);
  made.owed = frames.owed(made.spare);
  return made;
}

Plan Pager::make_plan() {
  const bool guarded = device_.options.thrash_guard && device_.thrash_guard.active(Clock::now());
  device_.stats.set(Stat::thrash_guard, guarded ? 1 : 0);
  if (!device_.repairs.empty()) return {{}, device_.repairs, memory_};
  const Frames& frames = *device_.frames;
  Situation situation = bounded_by(device_.options, frames.limits().hbm, room(), guarded);
  if (device_.returning.load(std::memory_order_relaxed)) {
    situation.most_promotions = std::min(situation.most_promotions * flips_in_one_return,
                                         frames.frame_size() * frames.available(Tier::hbm));
  }
  if (device_.stats.get(Stat::host_mapped_bytes) == 0 && situation.must_leave.value == 0 &&
      device_.options.high_watermark.value == 100) {
    return {};
  }
  // What was launched before a quiet point is done: what comes next is known to a use, and only
  // then may much be exchanged at once. A few passes too early, and they read all of it in place.
  const bool at_quiet_point = quiet_points_.came_since();
  if (at_quiet_point && !guarded) situation.most_at_once = pace_.most_at_once();
  const std::vector<Candidate> candidates =
      candidates_of(device_, at_quiet_point ? 0 : device_.uses_in_a_round);
  situation.candidates = candidates;
  situation.now = device_.now.load(std::memory_order_relaxed);
  situation.memory = memory_;
  return decisions_.plan(situation);
}

void Pager::count(Flip::Outcome outcome) {
  switch (outcome) {
    case Flip::Outcome::done:
      device_.stats.add(Stat::flips, 1);
      break;
    case Flip::Outcome::deadline:
      device_.stats.add(Stat::flips_abandoned_deadline, 1);
      break;
    case Flip::Outcome::capturing:
      device_.stats.add(Stat::flips_abandoned_capture, 1);
      break;
    case Flip::Outcome::no_memory:
      device_.stats.add(Stat::flips_abandoned_memory, 1);
      break;
    case Flip::Outcome::failed:
      device_.stats.add(Stat::flips_abandoned_error, 1);
      break;
    case Flip::Outcome::unseen:
      device_.stats.add(Stat::flips_abandoned_unseen, 1);
      if (!told_unseen_) {
        log_warn(
            "nothing is moved: this program uses per-thread default streams, which only a "
            "driver with cuCtxRecordEvent (CUDA 12.5) lets us watch");
      }
      told_unseen_ = true;
      break;
  }
}

bool Pager::is_back() const {
  const HbmRoom left = room();
  return left.left <= left.spare &&
         device_.stats.get(Stat::resident_bytes) >= device_.resident_before_sleep.load();
}

void Pager::end_return() {
  if (!device_.returning.exchange(false)) return;
  const std::chrono::nanoseconds took = Clock::now() - device_.woken_at.load();
  device_.stats.set(Stat::return_ns, static_cast<std::uint64_t>(took.count()));
}

}  // namespace vhbm
