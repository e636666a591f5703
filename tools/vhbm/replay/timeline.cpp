// Events as the "Trace Event Format" has them: `ph` says what kind: M names a track, X is a span
// (begin and length in microseconds), C a counter, i a moment.
#include "replay/timeline.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "replay/kernel_tracks.h"
#include "replay/residency.h"
#include "runtime/flip.h"
#include "runtime/sleep_state.h"

namespace vhbm::replay {
namespace {

using Json = nlohmann::ordered_json;

// What stands for processes and threads; a use's thread is its lane, a kernel's its stream.
enum Process : int { pager = 1, threads = 2, kernels = 3 };
enum Track : int { flips = 1, gate = 2, guard_track = 3, sleep_track = 4 };

constexpr const char* outcome_names[] = {"done",
                                         "given up: the GPU was busy",
                                         "given up: a stream was being captured",
                                         "given up: a per-thread stream is unwatchable",
                                         "given up: no frame was left",
                                         "given up: a driver call failed"};
static_assert(std::size(outcome_names) == static_cast<std::size_t>(Flip::Outcome::failed) + 1);

constexpr const char* sleep_name(std::uint64_t state) {
  return state <= static_cast<std::uint64_t>(SleepState::waking)
             ? name_of(static_cast<SleepState>(state))
             : "unknown";
}

double microseconds(std::uint64_t nanoseconds) {
  return static_cast<double>(nanoseconds) / 1e3;
}

class Writer {
 public:
  Writer(const Recorded& recorded, std::ostream& out) : recorded_(recorded), out_(out) {}

  void write() {
    const recording::TraceHeader& header = recorded_.header;
    out_ << "{\"displayTimeUnit\":\"ms\",\"otherData\":"
         << told({{"pid", header.pid}, {"command", header.command}, {"gpu", header.gpu}})
         << ",\"traceEvents\":[\n";
    name_process(pager, "vHBM: process " + std::to_string(header.pid));
    name_track(pager, flips, "flips");
    name_track(pager, gate, "launch gate closed");
    name_track(pager, guard_track, "thrash guard");
    name_track(pager, sleep_track, "sleep");
    for (const recording::Record& record : recorded_.records) {
      at_ = static_cast<std::uint64_t>(record.at.count());
      if (residency_.take(record)) count_residency();
      std::visit([&](const auto& content) { show(content); }, record.content);
    }
    end_state(guard_track, guard_since_, "holds back what would come");
    end_state(sleep_track, sleep_since_, sleep_name(sleep_));
    show_kernels();
    out_ << "\n]}\n";
  }

 private:
  static std::string told(const Json& value) {
    return value.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  void event(const Json& one) {
    if (!first_) out_ << ",\n";
    first_ = false;
    out_ << told(one);
  }
  void name_process(int process, const std::string& name) {
    event({{"ph", "M"}, {"pid", process}, {"name", "process_name"}, {"args", {{"name", name}}}});
    event({{"ph", "M"},
           {"pid", process},
           {"name", "process_sort_index"},
           {"args", {{"sort_index", process}}}});
  }
  void name_track(int process, std::uint64_t track, const std::string& name) {
    event({{"ph", "M"},
           {"pid", process},
           {"tid", track},
           {"name", "thread_name"},
           {"args", {{"name", name}}}});
  }
  void span(int process, std::uint64_t track, const std::string& name, std::uint64_t begin,
            std::uint64_t length, Json arguments = Json::object()) {
    event({{"ph", "X"},
           {"pid", process},
           {"tid", track},
           {"name", name},
           {"ts", microseconds(begin)},
           {"dur", microseconds(length)},
           {"args", std::move(arguments)}});
  }
  void counter(const char* name, Json values) {
    event({{"ph", "C"},
           {"pid", pager},
           {"name", name},
           {"ts", microseconds(at_)},
           {"args", std::move(values)}});
  }
  void count_residency() {
    Json in_hbm = Json::object(), in_host = Json::object();
    for (std::size_t tag = 0; tag < tag_names.size(); ++tag) {
      in_hbm[tag_names[tag]] = residency_.resident()[tag].value;
      in_host[tag_names[tag]] = residency_.host_mapped()[tag].value;
    }
    counter("bytes in HBM", std::move(in_hbm));
    counter("bytes in host memory", std::move(in_host));
  }
  void end_state(int track, std::uint64_t& since, const char* name) {
    if (since != 0) span(pager, static_cast<std::uint64_t>(track), name, since, at_ - since);
    since = 0;
  }

  void show(const recording::uses& one);
  void show(const recording::flip& one);
  void show_kernels();
  void show(const recording::closure& one) {
    span(pager, gate, "frees", one.begin, one.stall_ns, {{"drain_us", microseconds(one.drain_ns)}});
  }
  void show(const recording::waits& one) {
    counter("submissions that waited at the gate", {{"count", one.count}});
  }
  void show(const recording::guard& one) {
    if (one.active != 0 && guard_since_ == 0) guard_since_ = at_;
    if (one.active == 0) end_state(guard_track, guard_since_, "holds back what would come");
  }
  void show(const recording::sleep& one) {
    end_state(sleep_track, sleep_since_, sleep_name(sleep_));
    sleep_ = one.state;
    if (sleep_ != static_cast<std::uint64_t>(SleepState::awake)) sleep_since_ = at_;
  }
  void show(const recording::limits& one) { counter("hbm_limit", {{"bytes", one.hbm_limit}}); }
  void show(const recording::left_out& one) {
    event({{"ph", "i"},
           {"s", "g"},
           {"pid", pager},
           {"tid", flips},
           {"name", std::to_string(one.records) + " records are missing"},
           {"ts", microseconds(at_)}});
  }
  template <typename Other>
  void show(const Other&) {}

  const Recorded& recorded_;
  std::ostream& out_;
  Residency residency_;
  bool first_ = true;
  std::uint64_t at_ = 0, uses_until_ = 0, guard_since_ = 0, sleep_since_ = 0, sleep_ = 0;
  std::set<std::uint8_t> lanes_;
};

// What a round of the pager learnt was used since the round before: nearer than that, its time is
// not known.
void Writer::show(const recording::uses& one) {
  std::map<std::uint8_t, std::map<std::uint64_t, std::uint64_t>> by_lane;
  for (const std::uint64_t use : one.list) {
    ++by_lane[recording::lane_of(use)][recording::region_of(use)];
  }
  for (const auto& [lane, regions] : by_lane) {
    if (lanes_.empty()) name_process(threads, "uses, by thread");
    if (lanes_.insert(lane).second) {
      name_track(threads, lane, "thread " + std::to_string(lanes_.size()));
    }
    std::uint64_t count = 0;
    Bytes bytes, in_place;
    Json by_tag = Json::object();
    for (const auto& [index, times] : regions) {
      count += times;
      const auto found = residency_.regions().find(index);
      if (found == residency_.regions().end()) continue;
      const Residency::Region& region = found->second;
      bytes += region.chunk_size * region.resident.size() * times;
      in_place += region.chunk_size * (region.resident.size() - region.count) * times;
      const char* const tag = name_of(region.tag);
      by_tag[tag] = by_tag.value(tag, std::uint64_t{0}) + times;
    }
    span(threads, lane, std::to_string(count) + " uses", uses_until_, at_ - uses_until_,
         {{"uses", by_tag},
          {"regions", regions.size()},
          {"bytes", bytes.value},
          {"bytes_in_host_memory", in_place.value}});
  }
  uses_until_ = at_;
}

void Writer::show(const recording::flip& one) {
  const bool known = one.outcome < std::size(outcome_names);
  const std::uint64_t moved = one.arrived.size() + one.left.size();
  const std::uint64_t length = one.prepare_ns + one.drain_ns + one.validate_ns + one.arrive_ns +
                               one.leave_ns + one.settle_ns;
  span(pager, flips,
       one.outcome == 0 ? "flip of " + std::to_string(moved) + " chunks" : "flip, given up",
       one.begin, length,
       {{"outcome", known ? outcome_names[one.outcome] : "unknown"},
        {"for", one.cause < std::size(recording::cause_names) ? recording::cause_names[one.cause]
                                                              : "unknown"},
        {"at_quiet_point", one.quiet_point != 0},
        {"bytes_in", one.bytes_each * one.arrived.size()},
        {"bytes_out", one.bytes_each * one.left.size()},
        {"bytes_copied_ahead", one.ahead_bytes},
        {"bytes_out_uncopied", one.clean_bytes}});
  std::uint64_t at = one.begin;
  const std::pair<const char*, std::uint64_t> phases[] = {
      {"plan", one.prepare_ns},       {"quiesce", one.drain_ns},   {"validate", one.validate_ns},
      {"come to HBM", one.arrive_ns}, {"leave HBM", one.leave_ns}, {"settle", one.settle_ns}};
  for (const auto& [name, took] : phases) {
    if (took != 0) span(pager, flips, name, at, took);
    at += took;
  }
  if (one.stall_ns != 0) span(pager, gate, "flip", one.begin + one.prepare_ns, one.stall_ns);
}

void Writer::show_kernels() {
  const KernelTracks tracks = kernel_tracks(recorded_);
  if (!tracks.names.empty()) name_process(kernels, "kernels, by stream");
  for (std::size_t i = 0; i < tracks.names.size(); ++i) name_track(kernels, i + 1, tracks.names[i]);
  for (const auto& [kernel, track] : tracks.slices) {
    const std::string name = short_name(kernel->name);
    Json arguments = Json::object();
    if (name != kernel->name) arguments["kernel"] = kernel->name;
    span(kernels, track + 1, name, kernel->begin, kernel->end - kernel->begin,
         std::move(arguments));
  }
}

}  // namespace

Status write_timeline(const Recorded& recorded, const std::string& path) {
  std::ofstream out(path);
  if (out) Writer(recorded, out).write();
  out.close();
  if (!out) return {Errc::system_error, path + ": cannot be written: " + std::strerror(errno)};
  return {};
}

}  // namespace vhbm::replay
