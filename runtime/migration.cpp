// Every batch is a flip behind the gate that is closed already.
#include "runtime/migration.h"

#include <algorithm>
#include <chrono>

#include "runtime/context_scope.h"
#include "runtime/kv_heat.h"

namespace vhbm {
namespace {

// How long what comes back waits for room that others are to make, without getting any.
constexpr std::chrono::seconds room_patience{1};

// What comes back is hashed piece by piece, so that a batch may be larger than what is hashed at
// once: between two of them nothing is copied.
constexpr std::size_t flips_in_a_batch = 4;

}  // namespace

std::vector<Candidate> candidates_of(Device& device, std::uint64_t lead) {
  std::vector<Candidate> candidates;
  device.steps.look_ahead(lead);
  for (const Region* region : device.regions.live()) {
    const Epoch named = device.regions.last_use(region->index);
    const auto in_use_since =
        device.kv == nullptr ? std::nullopt : device.kv->in_use_since(*region);
    for (std::size_t i = 0; i < region->frames.size(); ++i) {
      const ChunkId id = device.page_of(region->address_of(i));
      const PageState state = device.pages.state(id);
      if (state != PageState::resident && state != PageState::host_mapped) continue;
      const Epoch touched = device.pages.last_use(id);
      // Of a KV cache whose blocks are known, what is in use is used as the region is.
      const bool in_use = !in_use_since || touched >= *in_use_since;
      candidates.push_back({id, region->chunk_size,
                            in_use_since ? touched : std::max(named, touched),
                            state == PageState::resident, region->held, region->tag.tag,
                            region->copies[i].frame != nullptr, region->index,
                            in_use ? device.steps.of(region->index) : Expectation{},
                            in_use ? device.steps.frequency(region->index) : 0});
    }
  }
  return candidates;
}

Flip::Outcome Migration::move(const Plan& plan, const Copier::Meanwhile& meanwhile) {
  Flip flip(device_, gate_);
  const Flip::Outcome outcome = flip.run_behind_closed_gate(plan, meanwhile);
  device_.recording.moved(flip, static_cast<unsigned>(outcome), recording::Cause::sleep, false);
  return outcome;
}

Bytes Migration::leave(Bytes most) {
  const RelaxedCapture relaxed(device_.driver);
  Frames& frames = *device_.frames;
  std::vector<Candidate> leaving;
  {
    std::lock_guard lock(device_.lock);
    // Frees that streams have reached, and copies of what is in the host anyway.
    device_.drop_arrivals();
    leaving = candidates_of(device_, 0);
  }
  std::erase_if(leaving, [](const Candidate& one) { return !one.resident || one.held; });
  const bool all = most.value == UINT64_MAX;
  std::sort(leaving.begin(), leaving.end(), [&](const Candidate& a, const Candidate& b) {
    if (all && a.has_copy != b.has_copy) return a.has_copy;
    return a.last_use != b.last_use ? a.last_use < b.last_use : a.chunk < b.chunk;
  });
  const Bytes before = resident();
  const Bytes held{device_.stats.get(Stat::hbm_bytes)};
  const auto given_back = [&] {
    return saturating_minus(held, {device_.stats.get(Stat::hbm_bytes)});
  };
  const auto shrink = [&] { return given_back() < most && frames.shrink(Tier::hbm, 0); };
  for (std::size_t first = 0; first < leaving.size() && !interrupted_();) {
    std::lock_guard lock(device_.lock);
    while (shrink()) {
    }
    const Bytes missing = saturating_minus(most, given_back());
    const std::size_t wanted =
        std::min<std::size_t>({device_.most_at_once(), leaving.size() - first,
                               missing.value / frames.frame_size().value +
                                   (missing.value % frames.frame_size().value == 0 ? 0u : 1u)});
    if (wanted == 0 || device_.frozen()) break;
    Plan plan;
    for (std::size_t i = 0; i < wanted; ++i) plan.evict.push_back(leaving[first + i].chunk);
    first += wanted;
    const std::size_t next = std::min(device_.most_at_once(), leaving.size() - first);
    const std::size_t uncopied = all && next != 0 && leaving[first + next - 1].has_copy ? 0 : next;
    const Flip::Outcome outcome =
        move(plan, [&] { return shrink() || frames.grow(Tier::host, uncopied); });
    host_was_short_ = outcome == Flip::Outcome::no_memory;
    if (outcome != Flip::Outcome::done) break;
  }
  std::lock_guard lock(device_.lock);
  while (shrink()) {
  }
  return saturating_minus(before, resident());
}

Bytes Migration::come_back(std::span<const ChunkId> order,
                           const std::function<bool()>& wait_for_room) {
  const RelaxedCapture relaxed(device_.driver);
  using Clock = std::chrono::steady_clock;
  const Bytes before = resident();
  Clock::time_point moved_at = Clock::now();
  for (std::size_t first = 0; first < order.size() && !interrupted_();) {
    std::unique_lock lock(device_.lock);
    Frames& frames = *device_.frames;
    const std::size_t batch = flips_in_a_batch * device_.most_at_once();
    const std::size_t wanted = std::min({batch, order.size() - first, frames.available(Tier::hbm)});
    if (device_.frozen()) break;
    if (wanted == 0) {
      lock.unlock();
      if (Clock::now() - moved_at >= room_patience || !wait_for_room()) break;
      continue;
    }
    moved_at = Clock::now();
    Plan plan;
    plan.promote.assign(order.begin() + static_cast<std::ptrdiff_t>(first),
                        order.begin() + static_cast<std::ptrdiff_t>(first + wanted));
    first += wanted;
    const std::size_t next = std::min(batch, order.size() - first);
    if (move(plan, [&] { return frames.grow(Tier::hbm, next); }) != Flip::Outcome::done) break;
  }
  return saturating_minus(resident(), before);
}

}  // namespace vhbm
