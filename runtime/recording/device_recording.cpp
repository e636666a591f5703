#include "runtime/recording/device_recording.h"

#include <unistd.h>

#include <ctime>
#include <exception>
#include <utility>

#include "runtime/device.h"
#include "runtime/flip.h"
#include "runtime/log.h"
#include "runtime/option_table.h"
#include "runtime/quiesce.h"
#include "runtime/shared_file.h"

namespace vhbm {
namespace {

std::uint64_t nanoseconds(std::chrono::nanoseconds length) {
  return length.count() < 0 ? 0 : static_cast<std::uint64_t>(length.count());
}

bool is_in_hbm(PageState state) {
  return state == PageState::resident || state == PageState::leaving || state == PageState::held;
}

bool same(const TagGuess& a, const TagGuess& b) {
  return a.tag == b.tag && a.confidence == b.confidence && a.reason == b.reason;
}

}  // namespace

recording::TraceHeader DeviceRecording::header() const {
  recording::TraceHeader made;
  SharedHeader process{};
  describe_process(process, 0, 0, device_.ordinal);
  const Frames::Limits limits = device_.frames->limits();
  made.pid = process.pid;
  made.command = process.command;
  made.device = device_.ordinal;
  char name[256] = "";
  if (device_.driver.cuDeviceGetName != nullptr &&
      device_.driver.cuDeviceGetName(name, sizeof name, device_.ordinal) == CUDA_SUCCESS) {
    made.gpu = name;
  }
  made.total = device_.total;
  made.chunk_size = device_.frames->frame_size();
  made.hbm_limit = limits.hbm;
  made.host_limit = limits.host;
  made.native = device_.frames->native();
  made.link_to_hbm = device_.stats.get(Stat::link_to_hbm);
  made.link_to_host = device_.stats.get(Stat::link_to_host);
  made.started_at = std::time(nullptr);
  for (const OptionRow& row : option_rows()) {
    made.options.emplace_back(row.name, row.write(device_.options));
  }
  return made;
}

Status DeviceRecording::start(const recording::Recorder::Wish& wish) {
  if (is_on()) {
    return {Errc::invalid_value, "it is recorded already, into " + recorder_.progress().file};
  }
  recording::TraceHeader header;
  {
    const std::lock_guard lock(device_.lock);
    told_.clear();
    uses_ = {};
    limits_ = {};
    guard_ = {};
    sleep_ = SleepState::awake;
    gate_waits_ = device_.process.gate.waits();
    gate_waited_ns_ = nanoseconds(device_.process.gate.waited());
    header = this->header();
  }
  // Without the lock, since files may be slow.
  if (Status status = recorder_.start(wish, header); !status.ok()) return status;
  const std::lock_guard lock(device_.lock);
  round();
  return {};
}

void DeviceRecording::start_by_options() {
  const Options& options = device_.options;
  if (options.record.empty()) return;
  recording::Recorder::Wish wish;
  wish.file = options.record;
  wish.limit = options.record_limit.resolve({}, gib(1));
  KernelRecording& kernels = device_.process.kernels;
  if (options.record_kernels) kernels.join_soon(wish, recorder_, device_.ordinal);
  Status status = start(wish);
  if (!status.ok() && access(wish.file.c_str(), F_OK) == 0) {
    // The file is another process's of the same program.
    wish.file.append(1, '.').append(std::to_string(getpid()));
    status = start(wish);
  }
  if (status.ok()) return;
  if (options.record_kernels) kernels.leave();
  log_warn("nothing is recorded: {}", status.message());
}

void DeviceRecording::round() noexcept {
  if (!is_on()) {
    uses_.list.clear();
    return;
  }
  try {
    tell_round();
  } catch (const std::exception&) {
    recorder_.give_up("there was no memory to record with");
  }
}

void DeviceRecording::tell_round() {
  ++look_;
  tell_regions();
  if (!uses_.list.empty() || uses_.lost != 0) {
    uses_.epoch = device_.now.load(std::memory_order_relaxed);
    add(uses_);
    uses_.list.clear();
    uses_.lost = 0;
  }
  tell_gone();
  tell_states();
}

void DeviceRecording::tell_regions() {
  for (const Region* region : device_.regions.live()) {
    if (region->index >= told_.size()) told_.resize(region->index + 1);
    Told& told = told_[region->index];
    told.seen = look_;
    const bool whole = region->whole != 0;
    if (told.id != region->view.id.value) {
      if (told.id != 0) add(recording::region_gone{region->index});
      tell_region(*region);
    } else if (!same(told.tag, region->tag) || told.held != region->held || told.whole != whole) {
      add(recording::region_changed{region->index, static_cast<std::uint64_t>(region->tag.tag),
                                    region->tag.confidence, region->held, whole,
                                    region->tag.reason});
    }
    told.id = region->view.id.value;
    told.tag = region->tag;
    told.held = region->held;
    told.whole = whole;
  }
}

void DeviceRecording::tell_gone() {
  for (std::size_t index = 0; index < told_.size(); ++index) {
    if (told_[index].id == 0 || told_[index].seen == look_) continue;
    add(recording::region_gone{index});
    told_[index] = {};
  }
}

void DeviceRecording::tell_region(const Region& region) {
  recording::region made;
  made.index = region.index;
  made.id = region.view.id.value;
  made.first_chunk = device_.page_of(region.view.base).value;
  made.size = region.view.size.value;
  made.chunk_size = region.chunk_size.value;
  made.tag = static_cast<std::uint64_t>(region.tag.tag);
  made.confidence = region.tag.confidence;
  made.held = region.held;
  made.whole = region.whole != 0;
  made.reason = region.tag.reason;
  bool resident = false;
  made.runs.push_back(0);
  for (std::size_t i = 0; i < region.frames.size(); ++i) {
    const bool in_hbm = is_in_hbm(device_.pages.state(device_.page_of(region.address_of(i))));
    if (in_hbm != resident) made.runs.push_back(0);
    resident = in_hbm;
    ++made.runs.back();
  }
  add(std::move(made));
}

void DeviceRecording::tell_states() {
  const Frames::Limits now = device_.frames->limits();
  const Stats& stats = device_.stats;
  const recording::limits limits{now.hbm.value,
                                 now.host.value,
                                 now.hbm_spare.value,
                                 device_.frames->native().value,
                                 stats.get(Stat::link_to_hbm),
                                 stats.get(Stat::link_to_host)};
  if (!(limits == limits_)) add(limits_ = limits);
  const recording::guard guard{stats.get(Stat::thrash_guard), device_.thrash_guard.verdicts(),
                               device_.thrash_guard.in_vain().value};
  if (guard.active != guard_.active || guard.verdicts != guard_.verdicts) add(guard_ = guard);
  const SleepState sleep = device_.process.sleep.load();
  if (sleep != sleep_) add(recording::sleep{static_cast<std::uint64_t>(sleep)});
  sleep_ = sleep;
  const std::uint64_t waits = device_.process.gate.waits();
  const std::uint64_t waited = nanoseconds(device_.process.gate.waited());
  if (waits != gate_waits_) {
    add(recording::waits{waits - gate_waits_, waited - gate_waited_ns_});
    gate_waits_ = waits;
    gate_waited_ns_ = waited;
  }
}

void DeviceRecording::moved(const Flip& flip, unsigned outcome, recording::Cause cause,
                            bool quiet_point) noexcept {
  if (!is_on()) return;
  try {
    const Flip::Times& times = flip.times();
    recording::flip made;
    made.cause = static_cast<std::uint64_t>(cause);
    made.outcome = outcome;
    made.quiet_point = quiet_point;
    made.begin = recorder_.time_of(times.begin);
    made.prepare_ns = nanoseconds(times.prepared - times.begin);
    // One that was given up waited to its end.
    const bool got_quiet = times.quiet != times.prepared;
    made.drain_ns = nanoseconds((got_quiet ? times.quiet : times.end) - times.prepared);
    made.validate_ns = nanoseconds(times.validated - times.quiet);
    made.arrive_ns = nanoseconds(times.arrived - times.validated);
    made.leave_ns = nanoseconds(times.left - times.arrived);
    made.settle_ns = got_quiet ? nanoseconds(times.end - times.left) : 0;
    made.stall_ns = nanoseconds(flip.stall());
    const auto tell = [&](std::span<const Move> moves, std::vector<std::uint64_t>& list) {
      for (const Move& move : moves) {
        if (!move.switched) continue;
        const Bytes size = move.region->chunk_size;
        made.bytes_each = size.value;
        list.push_back(device_.page_of(move.address()).value);
        if (move.ahead) made.ahead_bytes += size.value;
        if (move.to->tier == Tier::host && move.has_copy) made.clean_bytes += size.value;
      }
    };
    tell(flip.promotions(), made.arrived);
    tell(flip.evictions(), made.left);
    add(std::move(made));
  } catch (const std::exception&) {
    recorder_.give_up("there was no memory to record with");
  }
}

void DeviceRecording::closed(const Quiesce& quiesce) noexcept {
  if (!is_on() || quiesce.stall().count() == 0) return;
  add(recording::closure{recorder_.time_of(quiesce.begin()), nanoseconds(quiesce.drained_in()),
                         nanoseconds(quiesce.stall())});
}

void DeviceRecording::option_set(const char* name, const std::string& value) noexcept {
  if (!is_on()) return;
  try {
    add(recording::option{name, value});
  } catch (const std::exception&) {
  }
}

}  // namespace vhbm
