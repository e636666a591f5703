// Knows all GPU work of this process that could reach a region, and tells when none is in flight.
// Invariant: nothing here ever blocks on the GPU, and nothing touches a stream while one is being
// captured. Locking: one mutex of its own, held for short driver calls; captures and per-thread
// streams are atomics.
#pragma once

#include <cuda.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "runtime/driver.h"

namespace vhbm {

class Drain {
 public:
  explicit Drain(const Driver& driver) : driver_(driver) {}
  ~Drain();
  Drain(const Drain&) = delete;
  Drain& operator=(const Drain&) = delete;

  // Announcing twice is harmless. A context that is withdrawn is not used any more.
  void context_created(CUcontext context);
  void context_destroyed(CUcontext context);
  void stream_created(CUcontext context, CUstream stream);
  // The stream's pending work outlives it, so an event is left behind in it.
  void stream_destroyed(CUstream stream);
  void capture_began() {
    std::lock_guard lock(mutex_);  // wait() is not marking
    captures_.fetch_add(1);
  }
  void capture_ended() { captures_.fetch_sub(1); }
  [[nodiscard]] bool capturing() const { return captures_.load() > 0; }
  void per_thread_stream_used() noexcept {
    if (!per_thread_.load(std::memory_order_relaxed)) {
      per_thread_.store(true, std::memory_order_relaxed);
    }
  }

  [[nodiscard]] std::vector<CUcontext> contexts() const;

  enum class State {
    quiet,
    busy,
    capturing,  // a stream is being captured: asking would break the capture
    unseen,     // a per-thread stream was used, and this driver cannot tell what it does
    failed,     // the driver answered with an error, perhaps just once: see failure()
  };
  // With the gate closed: marks the work in flight. `quiet` here only means that it was marked.
  [[nodiscard]] State begin();
  // Whether what was marked has ended.
  [[nodiscard]] State poll();
  [[nodiscard]] CUresult failure() const { return failure_.load(); }

  // Waits for all work that is in flight now, whatever the gate does, as cuMemFree waits.
  // `capturing` at once while a stream is being captured; `failed` when the driver twice could not
  // tell.
  [[nodiscard]] State wait();

 private:
  // An event that wait() has left behind in a context, which stays as long as it does.
  struct Mark {
    CUcontext context;
    CUevent event;
  };
  struct Context {
    CUcontext handle;
    std::vector<CUstream> streams;
    std::vector<CUevent> left_behind;  // by destroyed streams
    CUevent everything = nullptr;      // all of the context's work, recorded by begin()
    int marks = 0;
  };
  [[nodiscard]] State poll(Context& context);
  [[nodiscard]] State mark(std::vector<Mark>& marks);
  [[nodiscard]] CUresult query(const Mark& mark);
  void remove(const Mark& mark);
  [[nodiscard]] State synchronize();
  [[nodiscard]] Context* find(CUcontext context);
  // Never true in the product: see runtime/protection.h.
  [[nodiscard]] bool is_left_out(const Context& context) const;
  [[nodiscard]] State judge(CUresult result);
  [[nodiscard]] bool sees_everything() const {
    return driver_.cuCtxRecordEvent != nullptr && context_events_work_;
  }

  const Driver& driver_;
  std::atomic<int> captures_{0};
  std::atomic<bool> per_thread_{false};
  bool lost_track_ = false;  // of a destroyed stream's work, which only context events show
  std::atomic<CUresult> failure_{CUDA_SUCCESS};
  mutable std::mutex mutex_;
  std::condition_variable mark_removed_;
  std::vector<Context> contexts_;
  bool context_events_work_ = true;
};

}  // namespace vhbm
