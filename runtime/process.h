// What the devices of one process share: the gate before all GPU work, what is known of the work in
// flight, the window of addresses, the ledger of host memory, and whether the process sleeps.
// Outlives them. Locking: each member's own.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "runtime/drain.h"
#include "runtime/gate.h"
#include "runtime/host_ledger.h"
#include "runtime/recording/kernel_recording.h"
#include "runtime/shared_window.h"
#include "runtime/sleep_state.h"

namespace vhbm {

class KvLayouts;

struct Process {
  explicit Process(const Driver& driver) : drain(driver), window(driver) {}

  Gate gate;
  Drain drain;
  HostLedger host;
  SharedWindow window;
  KernelRecording kernels;
  std::shared_ptr<KvLayouts> kv_layouts;  // where there are any
  std::atomic<bool> has_devices{false};
  // Threads of the application that wait for its work.
  std::atomic<std::uint32_t> waits_for_gpu{0};
  // Of the application's threads one waits for the GPU, or is about to give it work.
  [[nodiscard]] bool is_at_work() const noexcept {
    return waits_for_gpu.load(std::memory_order_relaxed) != 0 || gate.waiting() != 0 ||
           gate.any_inside();
  }
  // Other than awake: only who puts the process to sleep moves anything. Written by Sleep alone.
  std::atomic<SleepState> sleep{SleepState::awake};
};

}  // namespace vhbm
