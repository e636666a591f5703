// Time is counted in nanoseconds from the first use. See model.h.
#include "replay/model.h"

#include <algorithm>
#include <vector>

#include "replay/memory.h"
#include "runtime/pacing.h"
#include "runtime/steps.h"
#include "runtime/thrash_guard.h"

namespace vhbm::replay {
namespace {

using Time = std::chrono::nanoseconds;

Time taking(Bytes bytes, double rate) {
  return Time(static_cast<std::int64_t>(static_cast<double>(bytes.value) / rate * 1e9));
}

class Play {
 public:
  Play(const Workload& workload, const Conditions& conditions)
      : workload_(workload),
        conditions_(conditions),
        options_(conditions.options),
        bounds_(conditions.bounds),
        memory_(workload),
        interval_(conditions.options.pager_interval),
        patience_(conditions.options.quiesce_deadline),
        next_round_(interval_) {}

  Played run() {
    for (const Event& event : workload_.events) {
      switch (event.kind) {
        case Event::Kind::use:
          use(event);
          break;
        case Event::Kind::born:
          conditions_.as_recorded ? memory_.place_as_seen(event.what)
                                  : memory_.place(event.what, room_for_new());
          break;
        case Event::Kind::gone:
          memory_.remove(event.what);
          break;
        case Event::Kind::change:
          change(workload_.changes[event.what]);
          break;
        case Event::Kind::bound:
          if (conditions_.as_recorded) bounds_ = workload_.bounds[event.what];
          break;
        case Event::Kind::lost:
          lost_ = true;
          break;
      }
    }
    played_.time = now_;
    played_.seen = steps_.seen();
    played_.foreseen = steps_.foreseen();
    played_.guard_verdicts = guard_.verdicts();
    return played_;
  }

 private:
  [[nodiscard]] Bytes frame() const { return workload_.chunk_size; }
  [[nodiscard]] std::size_t frames() const {
    return room_in(bounds_, frame()).value / frame().value;
  }
  [[nodiscard]] HbmRoom room() const {
    HbmRoom made{frame(), frames_left(frames(), memory_.resident())};
    made.spare = frames_to_spare(spare(), made.left, memory_.host_mapped());
    const std::size_t host = bounds_.host_limit.value / frame().value;
    made.owed = frames_owed(frames(), memory_.resident(), made.spare,
                            frames_left(host, memory_.host_mapped()));
    return made;
  }
  [[nodiscard]] std::size_t spare() const {
    return spare_of(options_, bounds_.hbm_limit, frame()).value / frame().value;
  }
  // As an allocation takes frames: the spare ones last.
  [[nodiscard]] std::size_t room_for_new() const { return frames_left(room().left, spare()); }

  void change(const Change& change) {
    Placed& placed = memory_.at(change.life);
    placed.tag = change.tag;
    placed.held = change.held;
    if (change.whole) memory_.gather(change.life);
  }

  void use(const Event& event) {
    Placed& placed = memory_.at(event.what);
    if (!placed.lives) return;
    const std::uint64_t all = placed.chunks.size(), missed = all - placed.resident;
    ++played_.uses;
    played_.chunk_uses += all;
    played_.hits += placed.resident;
    played_.misses += missed;
    played_.used += frame() * all;
    played_.in_place += frame() * missed;
    played_.hbm_time += taking(frame() * all, conditions_.rates.hbm);
    placed.last_use = epoch_;
    ++placed.uses;
    unread_.push_back({workload_.lives[event.what].index, event.lane});
    const Time end = now_ + std::max(taking(frame() * placed.resident, conditions_.rates.hbm),
                                     taking(frame() * missed, conditions_.rates.to_hbm));
    now_ = end;
    while (next_round_ <= end) {
      const Time began = next_round_;
      next_round_ = std::max(began, round(began, end)) + interval_;
    }
  }

  // A round of the pager at `at`, while work runs until `quiet`. Returns when the round ended; work
  // goes on from `now_`.
  Time round(Time at, Time quiet) {
    ++epoch_;
    learn();
    if (at < next_flip_ || at < copied_until_) return at;
    if (!copied_ahead_ && at - copying_since_ < least_between_flips()) return at;
    const Plan plan = make_plan(at);
    if (plan.empty()) return at;
    if (!copied_ahead_) {
      copying_since_ = at;
      copied_for_flip_ = {};
    }
    if (copy_ahead(plan, at)) return at;
    copied_ahead_ = false;
    policy_memory_ = plan.memory;
    const Time drained = quiet - at;
    if (drained > patience_) {
      ++played_.given_up;
      played_.stall += patience_;
      rest(at + patience_, patience_);
      patience_ = patience_after_deadline(patience_, options_.quiesce_deadline);
      return at + patience_;
    }
    const Time copying = flip(plan);
    ++played_.flips;
    now_ = quiet + copying;
    played_.stall += drained + copying;
    guard_.judge(ThrashGuard::Time(now_), guard_sample(options_, bounds_.hbm_limit));
    patience_ = patience_after_drain(drained, options_.quiesce_deadline);
    rest(now_, drained + copying);
    return now_;
  }

  void learn() {
    const std::uint64_t before = steps_.seen();
    for (const Use one : unread_) steps_.used(one);
    unread_.clear();
    if (lost_) steps_.interrupted();
    lost_ = false;
    uses_in_a_round_ = std::max(steps_.seen() - before, uses_in_a_round_ / 2);
  }

  void rest(Time from, Time stall) { next_flip_ = from + rest_after(stall, stall_share(options_)); }

  [[nodiscard]] Time least_between_flips() const {
    const std::uint64_t rate = options_.copy_rate.value;
    return rate == 0 ? Time(0) : taking(copied_for_flip_, static_cast<double>(rate));
  }

  Plan make_plan(Time at) {
    const bool guarded = options_.thrash_guard && guard_.active(ThrashGuard::Time(at));
    Situation situation = bounded_by(options_, bounds_.hbm_limit, room(), guarded);
    if (memory_.host_mapped() == 0 && situation.must_leave.value == 0 &&
        options_.high_watermark.value == 100) {
      return {};
    }
    steps_.look_ahead(uses_in_a_round_);
    situation.candidates = memory_.candidates(steps_);
    situation.now = epoch_;
    situation.memory = policy_memory_;
    return conditions_.policy->plan(situation);
  }

  // Weights are only read, so what was a copy of them still is.
  [[nodiscard]] bool copy_holds(const Placed& placed, const Chunk& chunk) const {
    return chunk.has_copy && (placed.tag == Tag::weights || chunk.copied_at == placed.uses);
  }

  // Starts to copy what the plan sends away and has no copy, while work runs; true when the flip is
  // to wait for that.
  bool copy_ahead(const Plan& plan, Time at) {
    if (!options_.precopy || copied_ahead_) return false;
    Bytes copied;
    for (const ChunkId id : plan.evict) {
      const Memory::Place place = memory_.find(id);
      Placed& placed = memory_.at(place.life);
      Chunk& chunk = placed.chunks[place.chunk];
      if (chunk.has_copy) continue;
      chunk.has_copy = true;
      chunk.copied_at = placed.uses;
      copied += frame();
    }
    copied_until_ = at + taking(copied, conditions_.rates.to_host);
    copied_for_flip_ += copied;
    played_.copied_out += copied;
    return copied_ahead_ = copied.value != 0;
  }

  // How long what moves is copied while work waits.
  Time flip(const Plan& plan) {
    Bytes arrived, recopied;
    std::size_t left = room().left;
    for (const ChunkId id : plan.promote) {
      const Memory::Place place = memory_.find(id);
      Placed& placed = memory_.at(place.life);
      if (left == 0 || placed.chunks[place.chunk].resident) continue;
      --left;
      memory_.move(place, true);
      // The host frame stays behind as a copy.
      placed.chunks[place.chunk] = {true, true, placed.uses};
      arrived += frame();
      ++played_.misses;
      const std::uint32_t region = workload_.lives[place.life].index;
      guard_.came(region, frame(), steps_.uses(region));
    }
    for (const ChunkId id : plan.evict) {
      const Memory::Place place = memory_.find(id);
      Placed& placed = memory_.at(place.life);
      Chunk& chunk = placed.chunks[place.chunk];
      if (!chunk.resident) continue;
      if (!copy_holds(placed, chunk)) recopied += frame();
      memory_.move(place, false);
      chunk.has_copy = false;
      played_.moved_out += frame();
      const std::uint32_t region = workload_.lives[place.life].index;
      guard_.left(region, frame(), steps_.uses(region));
    }
    played_.moved_in += arrived;
    played_.copied_out += recopied;
    copied_for_flip_ += arrived + recopied;
    return taking(arrived, conditions_.rates.to_hbm) + taking(recopied, conditions_.rates.to_host);
  }

  const Workload& workload_;
  const Conditions& conditions_;
  const Options& options_;
  Bounds bounds_;
  Memory memory_;
  Steps steps_;
  ThrashGuard guard_;
  PolicyMemory policy_memory_;
  std::vector<Use> unread_;
  bool lost_ = false;
  std::uint64_t epoch_ = 1, uses_in_a_round_ = 0;
  const Time interval_;
  Time now_{0}, patience_, next_round_, next_flip_{0}, copied_until_{0}, copying_since_{0};
  bool copied_ahead_ = false;
  Bytes copied_for_flip_;
  Played played_;
};

}  // namespace

Played play(const Workload& workload, const Conditions& conditions) {
  return Play(workload, conditions).run();
}

Bytes room_in(const Bounds& bounds, Bytes chunk_size) {
  const Bytes room = saturating_minus(bounds.hbm_limit, bounds.native);
  return {room.value / chunk_size.value * chunk_size.value};
}

}  // namespace vhbm::replay
