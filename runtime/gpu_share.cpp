// Each round publishes first and reads then, so that of two processes that change their minds at
// once at least one sees the other. What a round misses, the next one sees.
#include "runtime/gpu_share.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

#include "runtime/log.h"
#include "runtime/memory_report.h"

namespace vhbm {
namespace {

constexpr std::chrono::milliseconds interval{5};
// Without work for so long, a process has none.
constexpr std::chrono::milliseconds linger{300};
// Sleeps that are asked for: how long the GPU may take to get quiet, and how soon after one that
// was given up the next is asked for.
constexpr std::chrono::seconds patience{5};
constexpr std::chrono::milliseconds between_tries{20};
// After so many the pager makes room, chunk by chunk, while work runs.
constexpr int most_tries = 5;
// What could not leave may be let go, or find room in host memory, by then.
constexpr std::chrono::seconds until_unstuck{1};
constexpr std::chrono::microseconds between_looks_for_room{200};
// How much more `latency` is served than `batch`.
constexpr std::int64_t latency_weight = 4;
constexpr std::uint32_t usual_priority = 50;

std::chrono::nanoseconds now_of_machine() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

std::uint64_t new_id() {
  return (static_cast<std::uint64_t>(now_of_machine().count()) & ~std::uint64_t{0xffff}) |
         (static_cast<std::uint64_t>(getpid()) & 0xffff);
}

}  // namespace

GpuShare::GpuShare(const Options& options, Process& process, Sleep& sleep, ShareOut share_out)
    : options_(options), process_(process), sleep_(sleep), share_out_(share_out), id_(new_id()) {}

Status GpuShare::start() {
  return worker_.start("vhbm-share", interval, [this] { round(); });
}

void GpuShare::stop() noexcept {
  worker_.stop();
  runs_.store(true);
}

void GpuShare::withdraw() noexcept {
  // A device may be joining, or the worker be stuck: then the next process that starts tidies up.
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return;
  for (Member& member : members_) member.claims.withdraw();
}

void GpuShare::leave_to_parent() noexcept {
  for (Member& member : members_) member.claims.leave_to_parent();
}

void GpuShare::join(PagedDevice& device) {
  std::lock_guard lock(mutex_);
  GpuUuid gpu{};
  if (!device.device->identify_gpu(&gpu)) {
    log_warn("this driver does not tell one GPU from another: this process does not share it");
    return;
  }
  Member& member = members_.emplace_back(device, state_directory(options_.state_dir), gpu);
  std::string why_not;
  claim(member);
  if (member.claims.join(device.device->ordinal, &why_not)) return;
  log_warn("this process does not share its GPU: {}", why_not);
  members_.pop_back();
}

bool GpuShare::permits() noexcept {
  if (worker_.ended()) return true;
  try {
    std::lock_guard lock(mutex_);
    refresh(now_of_machine());
  } catch (...) {
    return true;
  }
  return runs_.load();
}

bool GpuShare::wait_for_room(PagedDevice& device) noexcept {
  if (worker_.ended() || !permits()) return false;
  std::this_thread::sleep_for(between_looks_for_room);
  std::lock_guard lock(mutex_);
  const auto found = std::find_if(members_.begin(), members_.end(),
                                  [&](const Member& one) { return &one.device == &device; });
  if (found == members_.end()) return false;
  const Bytes held{device.device->stats.get(Stat::hbm_bytes)};
  return found->share.grant >= held + device.device->frames->frame_size();
}

void GpuShare::round() noexcept {
  try {
    std::lock_guard lock(mutex_);
    refresh(now_of_machine());
  } catch (...) {
    // Another round may have the memory that this one had not.
    runs_.store(true);
  }
}

void GpuShare::refresh(std::chrono::nanoseconds now) {
  look_for_work(now);
  serve(now);
  for (Member& member : members_) {
    claim(member);
    member.claims.publish(member.claim, now);
  }
  bool runs = true, has_turn = false;
  for (Member& member : members_) {
    decide(member, now);
    runs = runs && member.share.runs;
    has_turn = has_turn || member.share.has_turn;
    if (member.share.has_turn) turn_ = member.share.turn;
  }
  has_turn_ = has_turn;
  take_turn(now);
  measure_change(now);
  if (!runs_.exchange(runs) && runs) sleep_.look_again();
  for (Member& member : members_) apply(member, now);
}

void GpuShare::look_for_work(std::chrono::nanoseconds now) {
  const std::uint64_t work = process_.gate.launches() + process_.gate.waits();
  const bool was_active = active_;
  if (work != seen_work_ || process_.is_at_work()) active_at_ = now;
  seen_work_ = work;
  active_ = active_at_.count() != 0 && now - active_at_ < linger;
  if (active_ && !was_active) {
    active_since_ = now;
    for (const Member& member : members_) catch_up(member);
  }
}

// Who had no work has not saved up turns, but one.
void GpuShare::catch_up(const Member& member) {
  if (member.claims.last().empty()) return;
  std::chrono::nanoseconds least = std::chrono::nanoseconds::max();
  for (const Claim& other : member.claims.last()) {
    if (other.id != id_ && other.active) least = std::min(least, other.served);
  }
  if (least == std::chrono::nanoseconds::max()) return;
  served_ = std::max<std::chrono::nanoseconds>(served_, least - options_.gpu_quantum);
}

void GpuShare::serve(std::chrono::nanoseconds now) {
  const std::chrono::nanoseconds passed = now - last_round_;
  last_round_ = now;
  if (!active_ || !runs_.load() || passed > Claims::patience) return;
  const std::int64_t weight = static_cast<std::int64_t>(options_.gpu_priority.value) *
                              (options_.gpu_class == GpuClass::latency ? latency_weight : 1);
  served_ += passed * usual_priority / weight;
}

void GpuShare::claim(Member& member) const {
  Device& device = *member.device.device;
  const Bytes ceiling = device.hbm_ceiling(), native = device.frames->native();
  const Bytes regions =
      Bytes{device.stats.get(Stat::region_bytes)} + Bytes{device.stats.get(Stat::idle_bytes)};
  Claim& own = member.claim;
  own.id = id_;
  own.gpu_class = options_.gpu_class;
  own.priority = options_.gpu_priority.value;
  own.holds = {device.stats.get(Stat::hbm_bytes)};
  own.wants = std::min(
      ceiling, native + regions.rounded_up_to(device.frames->frame_size()) + device.most_spare());
  own.floor = std::max(native, std::min(member.stuck, own.holds));
  own.active = active_;
  own.responds = !device.frozen();
  own.active_at = active_at_;
  own.active_since = active_since_;
  own.served = served_;
  own.turn_since = turn_since_;
  own.change = change_;
}

void GpuShare::decide(Member& member, std::chrono::nanoseconds now) {
  Device& device = *member.device.device;
  const std::vector<Claim>& claims = member.claims.all(now);
  look_for_room(member);
  if (!member.free) {  // not asked yet, or the driver does not say: what was had before stays
    member.share = {device.hbm_ceiling()};
    return;
  }
  Bytes room;
  for (const Claim& one : claims) room += one.holds;
  room = std::min(shared_hbm(device.total), room + *member.free);
  const std::vector<Share> shares =
      share_out_({claims, room, now, options_.gpu_quantum, options_.gpu_turn_loss.value});
  Bytes granted;
  for (const Share& one : shares) granted += one.grant;
  member.share = shares.front();
  member.left_over = saturating_minus(room, granted);
}

// A move may be under way, which is not waited for.
void GpuShare::look_for_room(Member& member) {
  Device& device = *member.device.device;
  const std::unique_lock lock(device.lock, std::try_to_lock);
  if (lock.owns_lock()) member.free = device.free_hbm();
}

void GpuShare::take_turn(std::chrono::nanoseconds now) {
  if (!has_turn_) {
    turn_since_ = {};
  } else if (turn_since_.count() == 0 || now - turn_since_ >= turn_) {
    if (turn_since_.count() == 0) {
      for (Member& member : members_) member.device.device->stats.add(Stat::turns, 1);
      change_since_ = now;
      comes_back_ = true;
    }
    turn_since_ = now;
  }
}

void GpuShare::measure_change(std::chrono::nanoseconds now) {
  if (!has_turn_) comes_back_ = false;
  if (!comes_back_) return;
  change_ = now - change_since_;
  comes_back_ = process_.sleep.load() != SleepState::awake;
  for (const Member& member : members_) {
    comes_back_ = comes_back_ || member.device.device->returning.load(std::memory_order_relaxed);
  }
}

void GpuShare::apply(Member& member, std::chrono::nanoseconds now) {
  if (!member.free) return;
  Device& device = *member.device.device;
  // After the driver was asked: what is taken between the two is not taken off twice.
  const Bytes held{device.stats.get(Stat::hbm_bytes)};
  Bytes most = std::min(member.share.grant + member.left_over, held + *member.free);
  device.stats.set(Stat::granted_bytes, member.share.grant.value);
  device.stats.set(Stat::waits_for_turn, runs_.load() ? 0 : 1);
  if (member.leaving != nullptr && member.leaving->done()) {
    // Work that came at once is what ends most of these.
    failed_tries_ = member.leaving->status().ok() ? 0 : failed_tries_ + 1;
    if (member.leaving->status().ok() && held > member.asked_for) {
      member.stuck = held;
      member.stuck_at = now;
    }
    if (!member.leaving->status().ok()) next_try_ = now + between_tries;
    member.leaving.reset();
  }
  if (now - member.stuck_at >= until_unstuck) member.stuck = {};
  const Bytes surplus = saturating_minus(held, member.share.grant);
  if (surplus.value == 0) {
    member.stuck = {};
    failed_tries_ = 0;
  }
  // Also where there is nothing to give: its work has to wait.
  const bool has_to_wait = active_ && !runs_.load() && !is_asleep();
  if (has_to_wait || (surplus.value != 0 && member.share.grant < member.claim.wants)) {
    give(member, surplus, now);
  }
  // The pager waits for what leaves faster without it.
  if (member.leaving != nullptr && !is_asleep()) most = std::max(most, held);
  device.grant_hbm(most);
}

void GpuShare::give(Member& member, Bytes surplus, std::chrono::nanoseconds now) {
  const bool works = active_ && runs_.load();
  if (member.leaving != nullptr || works || failed_tries_ >= most_tries || now < next_try_) return;
  const bool nothing_leaves = member.stuck.value != 0 && member.claim.holds <= member.stuck;
  if (nothing_leaves && (!active_ || is_asleep())) return;
  const CUdevice which = member.device.device->ordinal;
  member.asked_for = member.share.grant;
  member.leaving = is_asleep() ? sleep_.leave(which, surplus)
                               : sleep_.fall_asleep(patience, {}, Sleep::Some{which, surplus});
}

}  // namespace vhbm
