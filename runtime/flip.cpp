// See flip.h for the phases; each function below is one of them.
#include "runtime/flip.h"

#include <algorithm>

#include "runtime/context_scope.h"
#include "runtime/log.h"
#include "runtime/protection.h"
#include "runtime/transfer.h"

namespace vhbm {
void Flip::reached(Gate::Clock::time_point Times::*phase) {
  using Phase = Gate::Clock::time_point Times::*;
  constexpr Phase in_order[] = {&Times::begin,   &Times::prepared, &Times::quiet, &Times::validated,
                                &Times::arrived, &Times::left,     &Times::end};
  const auto now = Gate::Clock::now();
  for (auto later = std::find(std::begin(in_order), std::end(in_order), phase);
       later != std::end(in_order); ++later) {
    times_.*(*later) = now;
  }
}

Flip::Outcome Flip::run(const Plan& plan, std::chrono::nanoseconds patience,
                        const std::function<void()>& then) {
  reached(&Times::begin);
  if (!device_.prepare_copies()) return Outcome::failed;
  const ContextScope scope(device_.driver, device_.copier.context());
  if (scope.result() != CUDA_SUCCESS) return Outcome::failed;
  by_choice_ = true;
  Outcome outcome = prepare(plan);
  if (outcome != Outcome::done) return outcome;
  bool quiet = false, settled = false;
  {
    Quiesce quiesce(gate_, device_.drain, device_.stats, device_.stalls, patience);
    switch (quiesce.outcome()) {
      case Quiesce::Outcome::quiet:
        outcome = carry_out();
        quiet = true;
        if (outcome == Outcome::done && then != nullptr) {
          outcome = settle(outcome);
          settled = true;
          stall_ = times_.end - quiesce.begin();
          then();
        }
        break;
      case Quiesce::Outcome::deadline:
        outcome = Outcome::deadline;
        break;
      case Quiesce::Outcome::capturing:
        outcome = Outcome::capturing;
        break;
      case Quiesce::Outcome::unseen:
        outcome = Outcome::unseen;
        break;
      case Quiesce::Outcome::failed:
        outcome = Outcome::failed;
        device_.gpu_failed("the GPU reports errors");
        break;
    }
    quiesce.reopen();
    stall_ = quiesce.stall();
    drained_in_ = quiesce.drained_in();
  }
  // Writes that were seen before count no more, so what waited through them is worth nothing.
  if (quiet) device_.drop_arrivals();
  return settled ? outcome : settle(outcome);
}

Flip::Outcome Flip::go_on(const Plan& plan) {
  by_choice_ = true;
  const Outcome outcome = run_behind_closed_gate(plan, {});
  stall_ = times_.end - times_.prepared;
  return outcome;
}

Flip::Outcome Flip::run_behind_closed_gate(const Plan& plan, Copier::Meanwhile meanwhile) {
  if (!device_.prepare_copies()) return Outcome::failed;
  const ContextScope scope(device_.driver, device_.copier.context());
  if (scope.result() != CUDA_SUCCESS) return Outcome::failed;
  meanwhile_ = std::move(meanwhile);
  reached(&Times::begin);
  const Outcome outcome = prepare(plan);
  return outcome == Outcome::done ? settle(carry_out()) : outcome;
}

Flip::Outcome Flip::prepare(const Plan& plan) {
  // What an earlier flip left behind still reads or writes frames.
  const CUresult left_behind = device_.copier.poll();
  if (left_behind == CUDA_ERROR_NOT_READY) return Outcome::deadline;
  if (left_behind != CUDA_SUCCESS) {
    device_.gpu_failed("the GPU reports errors");
    return Outcome::failed;
  }
  choose_promotions(plan);
  choose_evictions(plan);
  reached(&Times::prepared);
  return promotions_.empty() && evictions_.empty() ? Outcome::no_memory : Outcome::done;
}

Flip::Outcome Flip::carry_out() {
  reached(&Times::quiet);
  bool all = validate();
  reached(&Times::validated);
  all = all && move_all(promotions_, PageState::arriving, PageState::resident);
  reached(&Times::arrived);
  all = all && move_all(evictions_, PageState::leaving, PageState::host_mapped);
  reached(&Times::left);
  device_.regions.quiet();
  return all ? Outcome::done : Outcome::failed;
}

Flip::Outcome Flip::settle(Outcome outcome) {
  settle(evictions_, PageState::leaving, PageState::resident);
  settle(promotions_, PageState::arriving, PageState::host_mapped);
  if (outcome == Outcome::done) device_.gpu_answered();
  reached(&Times::end);
  return outcome;
}

bool Flip::find_chunk(ChunkId id, PageState expected, Move& move) const {
  const DeviceAddress address = device_.space.begin() + base_page * id.value;
  Region* region = device_.regions.region_at(address);
  if (region == nullptr || device_.pages.state(id) != expected) return false;
  move.region = region;
  move.chunk = (address - region->view.base).value / region->chunk_size.value;
  move.from = region->frames[move.chunk];
  return move.address() == address;
}

void Flip::choose_promotions(const Plan& plan) {
  Moves wanted;
  for (const ChunkId id : plan.promote) {
    Move move{};
    if (!find_chunk(id, PageState::host_mapped, move)) continue;
    const CleanCopy arrival = device_.take_copy(*move.region, move.chunk);
    move.to = arrival.frame;
    move.hash = arrival.hash;
    move.ahead = move.has_copy = arrival.frame != nullptr;
    wanted.push_back(move);
  }
  promotions_.reserve(wanted.size());
  for (Move& move : wanted) {
    if (prepare_promotion(move)) {
      promotions_.push_back(move);
    } else if (move.to != nullptr) {
      device_.frames->give_back(move.to);
    }
  }
  std::sort(promotions_.begin(), promotions_.end(), by_address);
}

bool Flip::prepare_promotion(Move& move) {
  Frames& frames = *device_.frames;
  if (move.to == nullptr) {
    const auto taken = frames.take(Tier::hbm);
    if (!taken.ok()) return false;
    move.to = *taken;
  }
  // The source's alias is where an eviction into the same frame will land.
  return frames.ensure_alias(move.to).ok() && frames.ensure_alias(move.from).ok() &&
         device_.move(move.address(), PageState::host_mapped, PageState::arriving);
}

void Flip::choose_evictions(const Plan& plan) {
  evictions_.reserve(plan.evict.size());
  for (const ChunkId id : plan.evict) {
    Move move{};
    if (!find_chunk(id, PageState::resident, move)) continue;
    const CleanCopy copy = device_.take_copy(*move.region, move.chunk);
    move.has_copy = copy.frame != nullptr;
    move.to = copy.frame;
    move.hash = copy.hash;
    if (!move.has_copy && !find_host_frame(move)) break;
    if (!device_.frames->ensure_alias(move.from).ok() ||
        !device_.move(move.address(), PageState::resident, PageState::leaving)) {
      if (Frame* unused = unused_frame(move); unused != nullptr) {
        device_.frames->give_back(unused);
      }
      break;
    }
    evictions_.push_back(move);
  }
  std::sort(evictions_.begin(), evictions_.end(), by_address);
}

bool Flip::find_host_frame(Move& move) {
  Frames& frames = *device_.frames;
  move.to = frames.take_idle_host(false);
  if (move.to == nullptr && vacated_ < promotions_.size()) {
    move.vacates = &promotions_[vacated_++];
    move.vacates->vacated = true;
    // What cannot be checked afterwards is copied behind the gate.
    move.vacates->ahead = move.vacates->has_copy = false;
    move.to = move.vacates->from;
    return true;
  }
  if (move.to == nullptr) {
    auto taken = frames.take(Tier::host);
    if (!taken.ok()) return false;
    move.to = *taken;
  }
  if (frames.ensure_alias(move.to).ok()) return true;
  frames.give_back(move.to);
  return false;
}

bool Flip::validate() {
  for (Move& move : promotions_) {
    const Region& region = *move.region;
    if (!move.ahead || device_.regions.written(region.index) == region.written_when_quiet) continue;
    // The promise is about kernels: here the application itself filled the region anew.
    move.ahead = move.has_copy = false;
    device_.stats.add(Stat::recopied_bytes, region.chunk_size.value);
  }
  PageKernels& kernels = device_.kernels;
  std::vector<Move*> claims;
  std::vector<DeviceAddress> chunks;
  for (Move& move : evictions_) {
    if (!move.has_copy) continue;
    claims.push_back(&move);
    chunks.push_back(move.from->alias);
  }
  const bool can_tell = kernels.usable() && claims.size() <= kernels.most();
  if (!claims.empty() && can_tell) {
    Transfer transfer(device_, meanwhile_);
    const bool hashed = transfer.hash(chunks);
    copies_in_flight_ = transfer.unknown();
    if (!hashed) return false;
  }
  for (std::size_t i = 0; i < claims.size(); ++i) {
    if (can_tell && kernels.result(PageKernels::Lane::gate, i) == claims[i]->hash) {
      ++claims[i]->region->chunks_unchanged;
      continue;
    }
    if (can_tell) ++claims[i]->region->chunks_changed;
    if (!keeps(Protection::validation)) continue;
    claims[i]->has_copy = false;
    device_.stats.add(Stat::recopied_bytes, claims[i]->region->chunk_size.value);
  }
  return true;
}

bool Flip::move_all(Moves& moves, PageState during, PageState after) {
  // A frame that was not vacated cannot be moved into.
  const auto possible = [](const Move& move) {
    return move.vacates == nullptr || move.vacates->switched;
  };
  const auto end = std::stable_partition(moves.begin(), moves.end(), possible);
  const std::span<Move> going(moves.begin(), end);
  Transfer transfer(device_, meanwhile_);
  bool all = true;
  for (std::size_t queued = 0; (all && queued < going.size()) || transfer.pending();) {
    if (all && queued < going.size() && !transfer.full()) {
      const auto piece = going.subspan(queued, std::min(transfer.piece(), going.size() - queued));
      all = transfer.queue(piece);
      queued += piece.size();
    } else {
      const std::span<Move> landed = transfer.land();
      all = !landed.empty() && !device_.frozen() && switch_all(landed, during, after) && all;
    }
  }
  copies_in_flight_ = transfer.unknown();
  return all;
}

bool Flip::switch_all(std::span<Move> moves, PageState during, PageState after) {
  bool all = true;
  for (std::size_t first = 0, count = 0; first < moves.size() && !device_.frozen();
       first += count) {
    count = 1;
    while (first + count < moves.size() && moves[first + count].region == moves[first].region &&
           moves[first + count].chunk == moves[first].chunk + count) {
      ++count;
    }
    all = switch_run(moves.subspan(first, count), during, after) && all;
  }
  return all;
}

bool Flip::switch_run(std::span<Move> moves, PageState during, PageState after) {
  std::vector<CUmemGenericAllocationHandle> from, to;
  for (const Move& move : moves) {
    from.push_back(move.from->handle);
    to.push_back(move.to->handle);
  }
  Region& region = *moves.front().region;
  switch (device_.mapper->replace(moves.front().address(), {from, region.chunk_size},
                                  {to, region.chunk_size}, region.access)) {
    case Mapper::Switched::yes:
      break;
    case Mapper::Switched::restored: {
      static constinit Seldom seldom;
      seldom.warn("{} chunks could not be switched and stay where they were", moves.size());
      return false;
    }
    case Mapper::Switched::broken:
      device_.freeze("a range could be mapped neither to its new nor to its old frames");
      for (Move& move : moves) move.lost = true;
      return false;
  }
  for (Move& move : moves) {
    move.lost = !device_.move(move.address(), during, after);
    region.frames[move.chunk] = move.to;
    move.switched = true;
  }
  return true;
}

void Flip::settle(Moves& moves, PageState during, PageState before) {
  for (Move& move : moves) {
    if (move.switched && move.vacates != nullptr) move.vacates->reused = true;
    if (!move.switched && !move.lost) (void)device_.move(move.address(), during, before);
    Frame* unused = move.lost ? nullptr : unused_frame(move);
    if (unused == nullptr) continue;
    if (copies_in_flight_) {
      device_.quarantine.push_back(unused);
    } else {
      device_.frames->give_back(unused);
    }
  }
  account(moves);
}

Frame* Flip::unused_frame(Move& move) {
  const bool eviction = move.from->tier == Tier::hbm;
  // What did not happen leaves the copy as it was; a promotion that did leaves one.
  const bool ahead_in_vain = move.ahead && !move.switched;
  if (move.has_copy && (move.switched != eviction || ahead_in_vain)) {
    if (move.reused) return nullptr;
    const CleanCopy copy{move.switched ? move.from : move.to, move.hash};
    if (move.switched && move.ahead) {
      device_.precopy.arrived(*move.region, move.chunk, copy);
    } else {
      device_.keep_copy(*move.region, move.chunk, copy);
    }
    return nullptr;
  }
  if (move.switched) return move.reused ? nullptr : move.from;
  return move.vacates == nullptr ? move.to : nullptr;
}

void Flip::account(const Moves& moves) {
  for (const Move& move : moves) {
    if (!move.switched) continue;
    const Bytes size = move.region->chunk_size;
    const Bytes host_mapped = device_.regions.host_mapped(move.region->index);
    const bool promoted = move.to->tier == Tier::hbm;
    device_.account(*move.region, promoted ? host_mapped - size : host_mapped + size);
    device_.stats.add(promoted ? Stat::promoted_bytes : Stat::evicted_bytes, size.value);
    if (!promoted && move.has_copy) device_.stats.add(Stat::clean_evicted_bytes, size.value);
    if (move.ahead) device_.stats.add(Stat::arrived_ahead_bytes, size.value);
    judge(move, size);
  }
}

void Flip::judge(const Move& move, Bytes size) {
  const std::uint32_t region = move.region->index;
  const std::uint64_t uses = device_.steps.uses(region);
  if (!by_choice_) return device_.thrash_guard.forget(region, size);
  if (move.to->tier == Tier::hbm) return device_.thrash_guard.came(region, size, uses);
  device_.thrash_guard.left(region, size, uses);
}

}  // namespace vhbm
