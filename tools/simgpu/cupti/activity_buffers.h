// The buffers of a client: asked for when there is a record to write, handed back when they are
// full, by a thread of the library's, or when they are flushed. Whoever registered callbacks last
// is asked, and gets what there is, also what another one gave. Locking: one mutex, held while
// records are written; never while a callback runs.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <set>
#include <string>

#include "simgpu/control.h"
#include "simgpu/cupti.h"

namespace simgpu::cupti {

class ActivityBuffers {
 public:
  // Never destroyed: the driver's threads may be inside until the process ends.
  static ActivityBuffers& get();

  // CLOCK_REALTIME, as far ahead of the driver's CLOCK_MONOTONIC as it was when first asked for.
  [[nodiscard]] std::uint64_t now() const;

  // A record's length, in this version.
  static constexpr std::size_t record_size = sizeof(CUpti_ActivityKernel10);

  void set_callbacks(CUpti_BuffersCallbackRequestFunc requested,
                     CUpti_BuffersCallbackCompleteFunc completed);
  [[nodiscard]] bool has_callbacks();
  // Kernels are recorded while they are of some kind.
  void enable(CUpti_ActivityKind kind, bool enabled);
  // On the thread that ran it.
  void record(const SimgpuKernelRun& run);
  // Hands back what has records, and, if all are asked for, what has none.
  void flush(bool all);
  // Since the last time.
  [[nodiscard]] std::size_t dropped();

 private:
  struct Buffer {
    std::uint8_t* bytes = nullptr;
    std::size_t size = 0, used = 0, left = 0;  // left: records that it may still take
    [[nodiscard]] bool fits() const {
      return bytes != nullptr && left != 0 && used + record_size <= size;
    }
  };

  ActivityBuffers();
  void deliver_full();
  void complete(const Buffer& buffer);
  [[nodiscard]] Buffer asked_for();

  const std::uint64_t realtime_ahead_;
  std::mutex mutex_;
  std::condition_variable has_full_;
  CUpti_BuffersCallbackRequestFunc requested_ = nullptr;
  CUpti_BuffersCallbackCompleteFunc completed_ = nullptr;
  std::set<CUpti_ActivityKind> enabled_;
  Buffer current_;
  std::deque<Buffer> full_;
  std::size_t dropped_ = 0, handing_back_ = 0;
  std::uint32_t correlation_ = 0;
  std::set<std::string> names_;  // as records point to them
};

}  // namespace simgpu::cupti
