// The kernels in a recording, from a source of kernel times that is switched on for as long as the
// recording lasts. A process has one source, so one recording at a time has kernels. Locking: one
// mutex; the source is asked by the recorder's thread, and by whoever begins or ends the recording.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "runtime/kernel_times.h"
#include "runtime/recording/recorder.h"
#include "runtime/status.h"

namespace vhbm {

class KernelRecording {
 public:
  KernelRecording() = default;
  ~KernelRecording() { leave(); }
  KernelRecording(const KernelRecording&) = delete;
  KernelRecording& operator=(const KernelRecording&) = delete;

  // Before anything is recorded. Without a source there are no kernels.
  void set_source(std::unique_ptr<KernelTimes> source) { source_ = std::move(source); }

  // Has the recording that is about to begin ask for a device's kernels too. Where there can be
  // none, told() says why, and it goes on without.
  void join(recording::Recorder::Wish& wish, recording::Recorder& into, int device);
  // The same, but the source is switched on by the recorder's thread: for who may not wait for it.
  void join_soon(recording::Recorder::Wish& wish, recording::Recorder& into, int device);
  // The one that begins now is to have none, and nothing is told of the last.
  void forget(const recording::Recorder& of) noexcept;
  // That recording did not begin.
  void leave() noexcept;

  struct Told {
    bool asked = false;                   // the recording was to have kernels
    std::uint64_t kernels = 0, lost = 0;  // told to it; come too fast, or without times
    std::string why_not;                  // there are none, or no more
  };
  // Of its last recording.
  [[nodiscard]] Told told(const recording::Recorder& of) const;

 private:
  // Between spans that are handed over at once, the recorder writes.
  static constexpr std::size_t bytes_at_once = 1 << 20;

  [[nodiscard]] bool claim(recording::Recorder::Wish& wish, recording::Recorder& into, int device);
  void switch_on();
  bool feed(bool last);
  void hand_over();
  [[nodiscard]] std::uint64_t number_of(const KernelSpan& span);

  mutable std::mutex mutex_;
  std::unique_ptr<KernelTimes> source_;
  recording::Recorder* into_ = nullptr;  // nullptr while nobody has the source
  int device_ = 0;
  bool is_on_ = false, starts_soon_ = false;  // the source
  std::vector<KernelSpan> spans_;             // taken, and not handed over from `next_` on
  std::size_t next_ = 0;
  std::map<std::uint32_t, std::uint64_t> contexts_;  // in the order in which they were met
  std::map<const recording::Recorder*, Told> told_;
};

}  // namespace vhbm
