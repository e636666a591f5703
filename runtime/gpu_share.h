// This process's part in sharing its GPUs with others (option share_gpu): says what it wants, holds
// what it is granted, and has its work wait while it is others' turn. All of them compute the same
// from the same claims, so there is nobody to ask and nobody to wait for. Who has to give leaves
// HBM by falling asleep, and wakes when its work may run. Invariant: what is granted bounds what
// this process holds through its frames' limit; while nothing else is known, its work runs.
// Locking: one mutex of its own, taken before the one inside Sleep, never with a device's lock
// held; one thread of its own, and the one that wakes the process.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <mutex>
#include <optional>

#include "runtime/claims.h"
#include "runtime/paged_device.h"
#include "runtime/sleep.h"
#include "runtime/worker.h"

namespace vhbm {

class GpuShare {
 public:
  GpuShare(const Options& options, Process& process, Sleep& sleep, ShareOut share_out);
  ~GpuShare() { stop(); }
  GpuShare(const GpuShare&) = delete;
  GpuShare& operator=(const GpuShare&) = delete;

  // From here on. Where no claim can be published, says so and shares nothing.
  [[nodiscard]] Status start();
  void stop() noexcept;
  // After stop(), at the process's end.
  void withdraw() noexcept;
  // In a forked child.
  void leave_to_parent() noexcept;
  [[nodiscard]] bool ended() const noexcept { return worker_.ended(); }
  // Another device of this process is paged.
  void join(PagedDevice& device);

  // Whether this process's work may run now; asked by who wakes it.
  [[nodiscard]] bool permits() noexcept;
  // Takes what others have given up since; false when no more is to be expected.
  [[nodiscard]] bool wait_for_room(PagedDevice& device) noexcept;

 private:
  using Clock = std::chrono::steady_clock;

  struct Member {
    Member(PagedDevice& paged, std::string directory, const GpuUuid& gpu)
        : device(paged), claims(std::move(directory), gpu) {}
    PagedDevice& device;
    Claims claims;
    Claim claim;
    Share share;
    Bytes left_over;            // that nobody wants
    std::optional<Bytes> free;  // as the driver said when it could be asked
    Sleep::Asked leaving;       // asked for, and not done
    Bytes asked_for;            // that it should hold then
    Bytes stuck;                // held all the same, after all that could leave had left
    std::chrono::nanoseconds stuck_at{0};
  };

  void round() noexcept;
  void refresh(std::chrono::nanoseconds now);
  void look_for_work(std::chrono::nanoseconds now);
  void serve(std::chrono::nanoseconds now);
  void catch_up(const Member& member);
  void claim(Member& member) const;
  void decide(Member& member, std::chrono::nanoseconds now);
  static void look_for_room(Member& member);
  void take_turn(std::chrono::nanoseconds now);
  void measure_change(std::chrono::nanoseconds now);
  void apply(Member& member, std::chrono::nanoseconds now);
  void give(Member& member, Bytes surplus, std::chrono::nanoseconds now);
  [[nodiscard]] bool is_asleep() const { return process_.sleep.load() == SleepState::asleep; }

  const Options& options_;
  Process& process_;
  Sleep& sleep_;
  const ShareOut share_out_;
  const std::uint64_t id_;

  std::mutex mutex_;
  std::deque<Member> members_;
  std::uint64_t seen_work_ = 0;
  bool active_ = false, has_turn_ = false, comes_back_ = false;
  std::chrono::nanoseconds active_at_{0}, active_since_{0}, served_{0}, turn_since_{0},
      last_round_{0};
  std::chrono::nanoseconds turn_{0};  // how long it lasts
  std::chrono::nanoseconds change_since_{0}, change_{0};
  std::chrono::nanoseconds next_try_{0};  // to fall asleep
  int failed_tries_ = 0;
  std::atomic<bool> runs_{true};
  Worker worker_;
};

}  // namespace vhbm
