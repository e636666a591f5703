// What a recording tells of one device: its regions as they come, change and go, what work uses,
// what moves, when the gate is closed and what bounds all that. Everything is known where it is
// told from, so hooks do nothing for it, and while nothing is recorded it costs a relaxed load a
// round. Locking: as each function says.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/recording/recorder.h"
#include "runtime/status.h"
#include "runtime/tag.h"
#include "runtime/use_log.h"

namespace vhbm {

struct Device;
struct Region;
class Flip;
class Quiesce;
enum class SleepState : std::uint32_t;

class DeviceRecording {
 public:
  explicit DeviceRecording(Device& device) : device_(device) {}

  // Without the device's lock. From what is there now, and by one thread at a time.
  //   Errc::invalid_value  one is under way
  //   Errc::system_error   the file cannot be made; says why
  [[nodiscard]] Status start(const recording::Recorder::Wish& wish);
  // As the options say, at the process's start: what cannot be recorded is told in the log.
  void start_by_options();
  void stop(const char* why) noexcept { recorder_.stop(why); }
  void leave_to_parent() noexcept { recorder_.leave_to_parent(); }
  [[nodiscard]] bool ended() const noexcept { return recorder_.ended(); }
  [[nodiscard]] bool is_on() const noexcept { return recorder_.is_on(); }
  [[nodiscard]] recording::Recorder::Progress progress() const { return recorder_.progress(); }
  // For what is recorded beside all this, from another thread.
  [[nodiscard]] recording::Recorder& recorder() noexcept { return recorder_; }

  // Under the device's lock. The pager learnt of these, in this order; told by round().
  void used(Use use) { uses_.list.push_back(recording::packed_use(use.lane, use.region)); }
  void uses_lost() { uses_.lost = 1; }
  // Once a round of the pager, after it learnt what was used.
  void round() noexcept;
  void moved(const Flip& flip, unsigned outcome, recording::Cause cause, bool quiet_point) noexcept;
  void closed(const Quiesce& quiesce) noexcept;
  void option_set(const char* name, const std::string& value) noexcept;

 private:
  // What was told of a region.
  struct Told {
    std::uint64_t id = 0;  // 0: nothing
    TagGuess tag;
    bool held = false, whole = false;
    std::uint64_t seen = 0;  // in which look
  };

  void add(recording::Content content) noexcept {
    recorder_.add(recording::Source::device, std::move(content));
  }
  [[nodiscard]] recording::TraceHeader header() const;
  void tell_round();
  void tell_regions();
  void tell_gone();
  void tell_region(const Region& region);
  void tell_states();

  Device& device_;
  recording::Recorder recorder_;
  std::vector<Told> told_;  // by index
  std::uint64_t look_ = 0;
  recording::uses uses_;
  recording::limits limits_;
  recording::guard guard_;
  SleepState sleep_{};
  std::uint64_t gate_waits_ = 0, gate_waited_ns_ = 0;
};

}  // namespace vhbm
