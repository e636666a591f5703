// Puts the process to sleep and wakes it. Asleep, its launch gate is closed, its chunks are in host
// memory, and the HBM that they had is the driver's again. By phases:
//   settle     what the pager has under way is collected             no side effect yet
//   close      the gate closes, the GPU gets quiet                   or the sleep is given up
//   leave      chunks leave HBM, device by device; frames go back    what the host has no room for
//   stays asleep     until somebody submits work, or asks come back  what the first work needs, in
//   the order of its use open       the pager brings the rest while the application runs
// Whoever submits work meanwhile waits at the gate, and what was begun is called back at once.
// Invariant: as a flip's, in every phase; whatever fails, the gate opens again. Locking: one thread
// of its own does all of it; asking takes a mutex, and is for any thread that is not inside the
// gate.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "runtime/gate.h"
#include "runtime/sleep_state.h"
#include "runtime/status.h"
#include "runtime/units.h"
#include "runtime/worker.h"

namespace vhbm {

class Devices;
class PagedDevice;

class Sleep {
 public:
  using Clock = Gate::Clock;

  // What was asked for, and what became of it once done().
  class Request {
   public:
    [[nodiscard]] bool done() const { return done_.load(std::memory_order_acquire); }
    // After done().
    [[nodiscard]] const Status& status() const { return status_; }
    // HBM that left, or came back.
    [[nodiscard]] Bytes moved() const { return moved_; }

   private:
    friend class Sleep;
    enum class Kind { sleep, wake, leave };
    Kind kind_ = Kind::sleep;
    CUdevice device_ = -1;              // of a leave, and of a sleep that leaves only some of it
    Bytes most_;                        // that is to leave that device
    std::chrono::nanoseconds hold_{0};  // of a sleep
    std::chrono::nanoseconds patience_{0};
    std::atomic<bool> done_{false};
    Status status_;
    Bytes moved_;
  };
  using Asked = std::shared_ptr<const Request>;
  // A part of one device's HBM.
  struct Some {
    CUdevice device;
    Bytes bytes;
  };

  explicit Sleep(Devices& devices) : devices_(devices) {}
  ~Sleep() { stop(); }
  Sleep(const Sleep&) = delete;
  Sleep& operator=(const Sleep&) = delete;

  [[nodiscard]] Status start();
  // As Worker::stop(); a process that is asleep goes on from host memory.
  void stop() noexcept;
  [[nodiscard]] bool ended() const noexcept { return worker_.ended(); }

  // How long a sleep waits for the GPU to get quiet before it is given up.
  static constexpr std::chrono::seconds patience_with_gpu{5};
  // Work that is submitted wakes the process, though not before `hold` has passed
  // since the gate closed. All HBM is left; of one device only so much, if `some` says so.
  //   Errc::abandoned  the GPU does not get quiet, a stream is being captured, or work came at once
  //   Errc::frozen     nothing moves any more
  [[nodiscard]] Asked fall_asleep(std::chrono::nanoseconds patience = patience_with_gpu,
                                  std::chrono::nanoseconds hold = std::chrono::nanoseconds(0),
                                  std::optional<Some> some = std::nullopt);
  // Harmless when it is awake.
  [[nodiscard]] Asked wake();
  // Gives so much of a device's HBM back to the driver, the coldest chunks first, and stays awake;
  // failures as above. The pager fills it again as far as hbm_limit lets it: lower that first.
  [[nodiscard]] Asked leave(CUdevice device, Bytes most);
  // Waits for the answer; Errc::abandoned when there is none in time.
  [[nodiscard]] static Status wait(const Asked& asked, std::chrono::nanoseconds patience);

  // Falls asleep by itself after so long without work; 0: never.
  void sleep_after(std::chrono::milliseconds idle) noexcept { idle_limit_ms_.store(idle.count()); }

  // Tiers below the host: `store` is called again and again while the process is asleep, by the
  // thread that wakes it, so it returns soon, and at once when Gate::waiting() is not 0. Whatever
  // it unmapped, `bring_back` maps again before anything else is done to wake; false, and the
  // process sleeps on and it is tried again. Set before start().
  struct Below {
    std::function<void()> store;
    std::function<bool()> bring_back;
  };
  void set_below(Below below) { below_ = std::move(below); }

  // Where the GPU is shared: work may wake the process once `permits` says so, and what comes back
  // waits for what others give up as long as `wait_for_room` says that there is more to come. Set
  // before start(); both are called by the thread that wakes it, without a lock.
  struct Others {
    std::function<bool()> permits;
    std::function<bool(PagedDevice&)> wait_for_room;
  };
  void set_others(Others others) { others_ = std::move(others); }
  // Work that waits may be permitted now.
  void look_again() noexcept { knocked(); }

  // By the gate, in the thread that knocks.
  void knocked() noexcept;

 private:
  // What differs as soon as the application does anything.
  struct Activity {
    std::uint64_t launches = 0, gate_waits = 0, last_uses = 0;
    bool operator==(const Activity&) const = default;
  };

  [[nodiscard]] std::shared_ptr<Request> next();
  Asked ask(std::shared_ptr<Request> request);
  void round() noexcept;
  void serve(Request& request);
  [[nodiscard]] Status put_to_sleep(std::chrono::nanoseconds patience,
                                    std::chrono::nanoseconds hold, std::optional<Some> some);
  // Closes the gate on a quiet GPU; it is then this object's to open.
  [[nodiscard]] Status close(Clock::time_point deadline);
  [[nodiscard]] bool settled() const;
  void send_away(PagedDevice& device, Bytes most);
  void wake_up();
  [[nodiscard]] Bytes come_back(PagedDevice& device);
  [[nodiscard]] Status leave_some(CUdevice device, Bytes most, Bytes* left);
  void open();
  void look_whether_idle();
  [[nodiscard]] Activity activity() const;
  [[nodiscard]] bool everything_frozen() const;
  // Work waits that may wake the process.
  [[nodiscard]] bool called_back() const;
  void become(SleepState state) noexcept;

  Devices& devices_;
  Below below_;
  Others others_;
  std::mutex mutex_;
  std::deque<std::shared_ptr<Request>> asked_;
  std::atomic<std::int64_t> idle_limit_ms_{0};
  Activity seen_;
  Clock::time_point active_at_ = Clock::now(), next_look_{};
  Clock::time_point slept_from_{}, held_until_{};
  bool holds_gate_ = false;
  Worker worker_;
};

}  // namespace vhbm
