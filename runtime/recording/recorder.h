// Records into a file, from when it is told to until it is told otherwise, a time has passed or the
// file is full. Who records only puts bytes into a ring; a thread of its own packs and writes them.
// What finds no room in the ring is left out, counted, and told in the trace. Invariant: whoever
// records never waits. Locking: start() and stop() belong to one thread at a time, and no source
// records while start() runs; each source's records come from one thread at a time.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "runtime/recording/record.h"
#include "runtime/recording/record_queue.h"
#include "runtime/recording/trace_header.h"
#include "runtime/recording/trace_writer.h"
#include "runtime/status.h"
#include "runtime/units.h"
#include "runtime/worker.h"

namespace vhbm::recording {

// Who records: whatever holds the device's lock, and who tells of kernels.
enum class Source : std::uint8_t { device, kernels };
inline constexpr std::size_t sources = 2;

class Recorder {
 public:
  using Clock = std::chrono::steady_clock;

  struct Wish {
    std::string file;                    // an absolute path
    Bytes limit;                         // that the file may take
    std::chrono::nanoseconds length{0};  // 0: until it is stopped
    bool replace = false;                // a file that is there already
    // Asked on the recorder's thread, block for block, for what is recorded only when it is asked
    // for; true: there is more. With `last` when the recording ends, until there is no more.
    std::function<bool(bool last)> feed;
  };
  struct Progress {
    bool on = false;
    std::string file;
    Bytes written;
    std::chrono::nanoseconds length{0};
    std::uint64_t records = 0, left_out = 0, uses = 0;
    std::string ended;  // why, once it is not on any more; empty before the first
  };

  // `queue_size` of each source, a power of two.
  explicit Recorder(std::size_t queue_size = 4 << 20) : queue_size_(queue_size) {}
  ~Recorder() { stop("the device is gone"); }
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // Requires that it is not on.
  //   Errc::system_error  the file cannot be made, or no thread can be had
  [[nodiscard]] Status start(const Wish& wish, TraceHeader header);
  // What was recorded until now is written; a moment later the file is closed. Harmless when it is
  // not on.
  void stop(const char* why) noexcept;
  // From whoever records: nothing more is recorded, and the thread ends what was begun.
  void give_up(const char* why) noexcept {
    given_up_.store(why);
    on_.store(false);
  }
  // The child of a fork has the file, but not the thread.
  void leave_to_parent() noexcept;
  [[nodiscard]] bool ended() const noexcept { return worker_ == nullptr || worker_->ended(); }

  // Whether it is worth to record anything. What is recorded otherwise is not written.
  [[nodiscard]] bool is_on() const noexcept { return on_.load(std::memory_order_acquire); }
  // Never throws: for want of memory a record is left out as well.
  void add(Source source, Content content) noexcept { add(source, Clock::now(), content); }
  void add(Source source, Clock::time_point at, const Content& content) noexcept;
  // On the trace's clock, for fields that hold times.
  [[nodiscard]] std::uint64_t time_of(Clock::time_point at) const noexcept {
    return at <= begin_ ? 0 : static_cast<std::uint64_t>((at - begin_).count());
  }

  [[nodiscard]] Progress progress() const;

 private:
  struct Stream {
    explicit Stream(std::size_t size) : queue(size) {}
    RecordQueue queue;
    std::string bytes;  // of one record; kept for its memory
    std::atomic<std::uint64_t> records{0}, left_out_records{0}, uses{0};
    // Left out since the last record that found room.
    std::atomic<std::uint64_t> missing{0}, missing_uses{0};
  };

  void put(Stream& stream, const Record& record);
  [[nodiscard]] bool fed(bool last) { return wish_.feed != nullptr && wish_.feed(last); }
  [[nodiscard]] static left_out missing_of(const Stream& stream) noexcept;
  void round() noexcept;
  // What is in the rings, and at the end of all why that is.
  void write(const char* why_last);
  void finish(std::string why) noexcept;
  void end_feeding() noexcept;

  const std::size_t queue_size_;
  std::atomic<bool> on_{false};
  std::atomic<const char*> given_up_{nullptr};
  Clock::time_point begin_{};
  std::array<std::unique_ptr<Stream>, sources> streams_;
  Wish wish_;
  TraceWriter writer_;  // the worker's, while it runs
  std::string taken_;
  bool writes_ = false;       // the worker has not finished
  mutable std::mutex mutex_;  // of what progress() tells
  std::string ended_;
  std::chrono::nanoseconds length_{0};
  std::atomic<std::uint64_t> written_{0};
  std::unique_ptr<Worker> worker_;
};

}  // namespace vhbm::recording
