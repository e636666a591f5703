// The launch gate: everything that submits GPU work passes it, and a flip closes it.
// Invariant: once close() returned true and until open(), no thread holds a Pass. Locking: passing
// an open gate is one atomic exchange on a cache line of the thread's own; only a thread's first
// pass of a gate allocates. Of several closers one comes after the other.
//
// A thread announces itself and then looks whether the gate is closed; the closer closes and then
// looks who is announced. Both in sequentially consistent order, so at least one of the two sees
// the other.
//
// A gate may be held closed for long, while the process is asleep. Whoever comes then says what its
// work needs before it waits, and knocks; who holds the gate opens it in time.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

namespace vhbm {

class Gate {
 private:
  // One thread's place in one gate. Written by the thread alone; who takes it up later counts on.
  struct alignas(64) Slot {
    std::atomic<std::uint32_t> inside{0};
    std::uint32_t depth = 0;
    std::atomic<std::uint64_t> launches{0};
    void count_launch() noexcept {
      launches.store(launches.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    Slot* next_free = nullptr;
    Slot* next = nullptr;
  };
  class Slots;
  friend struct ThreadSlots;

 public:
  using Clock = std::chrono::steady_clock;

  // Being inside. Held by one thread, for as long as the driver's call takes; nests.
  class [[nodiscard]] Pass {
   public:
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;
    ~Pass() {
      if (--slot_->depth == 0) slot_->inside.store(0, std::memory_order_release);
    }
    // Hot. As the gate's own.
    void count_launch() noexcept { slot_->count_launch(); }

   private:
    friend class Gate;
    explicit Pass(Slot* slot) : slot_(slot) {}
    Slot* slot_;
  };

  Gate();
  ~Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  // Waits while the gate is closed, unless this thread is already inside. `say` tells what the work
  // needs; it is called outside, and only where the gate is held.
  template <typename Say>
  Pass pass(Say&& say) noexcept {
    Slot* slot = this_slot();
    if (slot->depth++ == 0) {
      slot->inside.exchange(1, std::memory_order_seq_cst);
      if (closed_.load(std::memory_order_seq_cst) != 0) [[unlikely]] {
        slot->inside.store(0, std::memory_order_release);
        if (held_.load(std::memory_order_seq_cst)) say();
        wait_until_open(slot);
      }
    }
    return Pass(slot);
  }
  Pass pass() noexcept {
    return pass([] {});
  }

  // Hot. This thread launches a kernel or a graph.
  void count_launch() noexcept { this_slot()->count_launch(); }
  // Over all threads, also those that ended.
  [[nodiscard]] std::uint64_t launches() const noexcept;

  // Holds new submitters back and waits for those inside to leave. False, and open again, when one
  // is still inside, or the gate closed by another, at `deadline`. Must not be called by a thread
  // that is inside.
  [[nodiscard]] bool close(Clock::time_point deadline) noexcept;
  // By who closed it.
  void open() noexcept;
  // By who closed it: it stays closed for long. Who waits already, or comes until it opens, knocks.
  void hold() noexcept { held_.store(true, std::memory_order_seq_cst); }
  // What a knock does, in the thread that knocks; it may come late, and more than once. Set before
  // any thread passes.
  void on_knock(std::function<void()> knock) { knock_ = std::move(knock); }
  [[nodiscard]] bool closed() const { return closed_.load(std::memory_order_seq_cst) != 0; }
  // Somebody was inside just now.
  [[nodiscard]] bool any_inside() const noexcept;
  // Threads that wait for it to open.
  [[nodiscard]] std::uint32_t waiting() const { return waiting_.load(std::memory_order_seq_cst); }

  // Passes that found the gate closed, and the time they waited, over all threads.
  [[nodiscard]] std::uint64_t waits() const { return waits_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::chrono::nanoseconds waited() const {
    return std::chrono::nanoseconds(waited_ns_.load(std::memory_order_relaxed));
  }

 private:
  // The slot that this thread used last; one compare finds it again. Initial-exec: the library is
  // there when the process starts, and the general model costs a call each time.
  struct Cached {
    std::uint64_t gate = 0;
    Slot* slot = nullptr;
  };
  [[gnu::tls_model("initial-exec")]] static thread_local constinit Cached cached_;

  Slot* this_slot() noexcept {
    return cached_.gate == id_ ? cached_.slot : slot_of_this_thread();
  }
  Slot* slot_of_this_thread() noexcept;
  void wait_until_open(Slot* slot) noexcept;

  const std::uint64_t id_;  // never reused, unlike an address
  std::shared_ptr<Slots> slots_;
  alignas(64) std::atomic<std::uint32_t> closed_{0};
  std::atomic<bool> has_closer_{false}, held_{false};
  std::function<void()> knock_;
  std::atomic<std::uint32_t> waiting_{0};
  alignas(64) std::atomic<std::uint64_t> waits_{0};
  std::atomic<std::uint64_t> waited_ns_{0};
};

}  // namespace vhbm
