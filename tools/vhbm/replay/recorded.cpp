#include "replay/recorded.h"

#include <set>
#include <utility>

#include "replay/memory.h"
#include "runtime/flip.h"
#include "runtime/recording/trace_reader.h"
#include "runtime/steps.h"

namespace vhbm::replay {
namespace {

constexpr std::uint32_t none = UINT32_MAX;
// No pager has more regions than that, or larger ones.
constexpr std::uint64_t most_index = 1 << 20, most_chunks = 1 << 26;

Bytes size_of(const recording::flip& flip, const std::vector<std::uint64_t>& list) {
  return Bytes{flip.bytes_each} * list.size();
}

// Takes in one record after the other, and follows where the chunks are.
class Intake {
 public:
  explicit Intake(Recorded& made) : made_(made), memory_(made.workload) {
    made.link_to_hbm = made.header.link_to_hbm;
    made.link_to_host = made.header.link_to_host;
    made.workload.chunk_size = made.header.chunk_size;
    made.workload.first = {made.header.hbm_limit, made.header.host_limit, made.header.native};
  }

  // Why it is not accepted; empty when it is.
  std::string take(const recording::Record& record) {
    made_.happened.time = std::max(made_.happened.time, record.at);
    return std::visit([&](const auto& content) { return take(content); }, record.content);
  }
  // After the last one.
  void finish() {
    made_.lanes = lanes_.size();
    made_.happened.seen = steps_.seen();
    made_.happened.foreseen = steps_.foreseen();
  }

 private:
  std::string take(const recording::region& one);
  std::string take(const recording::region_changed& one);
  std::string take(const recording::region_gone& one);
  std::string take(const recording::uses& one);
  std::string take(const recording::flip& one);
  std::string take(const recording::closure& one);
  std::string take(const recording::waits& one);
  std::string take(const recording::guard& one);
  std::string take(const recording::limits& one);
  std::string take(const recording::left_out& one);
  // What the workload does not need.
  template <typename Other>
  std::string take(const Other&) {
    return {};
  }

  void event(Event::Kind kind, std::uint32_t what, std::uint8_t lane = 0) {
    made_.workload.events.push_back({kind, lane, what});
  }
  [[nodiscard]] std::uint32_t life_of(std::uint64_t index) const {
    return index < by_index_.size() ? by_index_[index] : none;
  }
  void use(std::uint32_t life, std::uint8_t lane);
  void end(std::uint64_t index, std::uint32_t life) {
    by_index_[index] = none;
    memory_.remove(life);
    event(Event::Kind::gone, life);
  }

  Recorded& made_;
  Memory memory_;
  Steps steps_;
  std::vector<std::uint32_t> by_index_;
  std::set<std::uint8_t> lanes_;
};

std::string Intake::take(const recording::region& one) {
  if (one.index >= most_index) return "index = " + std::to_string(one.index);
  if (Bytes{one.chunk_size} != made_.header.chunk_size) {
    return "chunk_size = " + std::to_string(one.chunk_size) + ", and the header says " +
           std::to_string(made_.header.chunk_size.value);
  }
  Life life;
  std::uint64_t chunks = 0;
  for (const std::uint64_t run : one.runs) {
    if (run > most_chunks || (chunks += run) > most_chunks) {
      return "runs of " + std::to_string(run) + " chunks";
    }
  }
  if (one.first_chunk > most_chunks || one.tag >= tag_names.size()) {
    return "first_chunk = " + std::to_string(one.first_chunk) +
           ", tag = " + std::to_string(one.tag);
  }
  life.index = static_cast<std::uint32_t>(one.index);
  life.first_chunk = static_cast<std::uint32_t>(one.first_chunk);
  life.chunks = static_cast<std::uint32_t>(chunks);
  life.chunk_size = {one.chunk_size};
  life.runs = one.runs;
  life.tag = static_cast<Tag>(one.tag);
  life.held = one.held != 0;
  life.whole = one.whole != 0;
  // One that was not told of as gone, since that record was left out.
  if (const std::uint32_t before = life_of(one.index); before != none) end(one.index, before);
  const auto number = static_cast<std::uint32_t>(made_.workload.lives.size());
  made_.workload.lives.push_back(std::move(life));
  if (one.index >= by_index_.size()) by_index_.resize(one.index + 1, none);
  by_index_[one.index] = number;
  memory_.place_as_seen(number);
  event(Event::Kind::born, number);
  return {};
}

std::string Intake::take(const recording::region_changed& one) {
  const std::uint32_t life = life_of(one.index);
  if (one.tag >= tag_names.size()) return "tag = " + std::to_string(one.tag);
  if (life == none) return {};
  event(Event::Kind::change, static_cast<std::uint32_t>(made_.workload.changes.size()));
  made_.workload.changes.push_back(
      {life, static_cast<Tag>(one.tag), one.held != 0, one.whole != 0});
  if (one.whole != 0) memory_.gather(life);
  return {};
}

std::string Intake::take(const recording::region_gone& one) {
  const std::uint32_t life = life_of(one.index);
  if (life != none) end(one.index, life);
  return {};
}

std::string Intake::take(const recording::uses& one) {
  if (one.lost != 0) {
    event(Event::Kind::lost, 0);
    steps_.interrupted();
  }
  for (const std::uint64_t packed : one.list) {
    const std::uint32_t life = life_of(recording::region_of(packed));
    lanes_.insert(recording::lane_of(packed));
    if (life == none) {
      ++made_.workload.unknown_uses;
    } else {
      use(life, recording::lane_of(packed));
    }
  }
  return {};
}

void Intake::use(std::uint32_t life, std::uint8_t lane) {
  const Placed& placed = memory_.at(life);
  const Bytes chunk = made_.header.chunk_size;
  const std::uint64_t all = placed.chunks.size(), missed = all - placed.resident;
  Happened& happened = made_.happened;
  ++happened.uses;
  happened.chunk_uses += all;
  happened.hits += placed.resident;
  happened.misses += missed;
  happened.used += chunk * all;
  happened.in_place += chunk * missed;
  steps_.used({made_.workload.lives[life].index, lane});
  event(Event::Kind::use, life, lane);
}

std::string Intake::take(const recording::flip& one) {
  Happened& happened = made_.happened;
  const bool done = one.outcome == static_cast<std::uint64_t>(Flip::Outcome::done);
  ++(done ? happened.flips : happened.given_up);
  happened.stall += std::chrono::nanoseconds(one.stall_ns);
  happened.moved_in += size_of(one, one.arrived);
  happened.moved_out += size_of(one, one.left);
  happened.copied_out += saturating_minus(size_of(one, one.left), {one.clean_bytes});
  happened.misses += one.arrived.size();
  const auto move = [&](const std::vector<std::uint64_t>& pages, bool to_hbm) {
    for (const std::uint64_t page : pages) {
      if (page > UINT32_MAX) continue;
      const Memory::Place place = memory_.find({static_cast<std::uint32_t>(page)});
      if (place.life != Memory::Place::none) memory_.move(place, to_hbm);
    }
  };
  move(one.arrived, true);
  move(one.left, false);
  return {};
}

std::string Intake::take(const recording::closure& one) {
  ++made_.happened.closures;
  made_.happened.stall += std::chrono::nanoseconds(one.stall_ns);
  return {};
}

std::string Intake::take(const recording::waits& one) {
  made_.happened.gate_waits += one.count;
  made_.happened.gate_waited += std::chrono::nanoseconds(one.waited_ns);
  return {};
}

std::string Intake::take(const recording::guard& one) {
  made_.happened.guard_verdicts = one.verdicts;
  return {};
}

std::string Intake::take(const recording::left_out& one) {
  made_.left_out += one.records;
  event(Event::Kind::lost, 0);
  steps_.interrupted();
  return {};
}

std::string Intake::take(const recording::limits& one) {
  made_.link_to_hbm = std::max(made_.link_to_hbm, one.link_to_hbm);
  made_.link_to_host = std::max(made_.link_to_host, one.link_to_host);
  event(Event::Kind::bound, static_cast<std::uint32_t>(made_.workload.bounds.size()));
  made_.workload.bounds.push_back({{one.hbm_limit}, {one.host_limit}, {one.native_bytes}});
  // What a program takes beside its regions it mostly takes early, and keeps.
  Bytes& native = made_.workload.first.native;
  native = std::max(native, Bytes{one.native_bytes});
  return {};
}

}  // namespace

Result<Recorded> read_recorded(const std::string& path) {
  auto reader = recording::TraceReader::open(path);
  if (!reader.ok()) return reader.status();
  Recorded made;
  made.header = reader->header();
  Intake intake(made);
  if (Status status = reader->read([&](recording::Record& record) {
        std::string refused = intake.take(record);
        made.records.push_back(std::move(record));
        return refused;
      });
      !status.ok()) {
    return status;
  }
  made.cut_off = reader->cut_off();
  made.unknown = reader->unknown();
  intake.finish();
  return made;
}

}  // namespace vhbm::replay
