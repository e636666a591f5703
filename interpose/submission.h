// A call that submits GPU work: inside the launch gate of every device while the driver takes the work,
// with the evidence of what the work touches. Hot: no lock, no allocation.
// A call that also waits for its work, as cuMemcpy does, stays inside meanwhile; a flip that wants to
// begin then gives up at its deadline, so that no order of waiting can lock up.
#pragma once

#include <array>
#include <optional>

#include "interpose/hook_scope.h"

namespace vhbm::interpose {

enum class DefaultStream { legacy, per_thread };

class Submission {
 public:
  Submission() noexcept {
    if (!scope_.entered()) return;
    const Process::Runtimes known = Process::instance().runtimes();
    if (known.count == 0) return;
    active_ = true;
    first_.emplace(Entering{known.all[0].load(std::memory_order_relaxed)->gate()});
    if (known.count == 1) return;
    rest_.emplace();
    for (std::size_t i = 1; i < known.count; ++i) {
      (*rest_)[i].emplace(Entering{known.all[i].load(std::memory_order_relaxed)->gate()});
    }
  }

  // The stream the work goes to: a thread's own default stream cannot be seen from outside.
  void on(CUstream stream, DefaultStream meaning_of_null) noexcept {
    if (!active_) return;
    const bool own = stream == CU_STREAM_PER_THREAD ||
                     (stream == nullptr && meaning_of_null == DefaultStream::per_thread);
    if (!own) return;
    for_each([](Runtime& runtime) { runtime.per_thread_stream_used(); });
  }

  // The work reads or writes exactly this range.
  void touches(CUdeviceptr address, std::size_t length) noexcept {
    if (!active_) return;
    if (Runtime* runtime = Process::instance().owner({address})) {
      runtime->touched({address}, {length});
    }
  }
  void touches(const void* address, std::size_t length) noexcept {
    touches(reinterpret_cast<CUdeviceptr>(address), length);
  }

  // One of the work's arguments is this word, which may be an address.
  void names(CUdeviceptr word) noexcept {
    if (Runtime* runtime = Process::instance().owner({word})) runtime->named({word});
  }

  void launches() noexcept {
    if (active_) Process::instance().runtimes().all[0].load(std::memory_order_relaxed)->launched();
  }

  [[nodiscard]] bool active() const noexcept { return active_; }

 private:
  // Lets optional construct a Pass in place, which can be neither copied nor moved.
  struct Entering {
    Gate& gate;
    operator Gate::Pass() const noexcept { return gate.pass(); }
  };
  template <typename F>
  static void for_each(F&& function) noexcept {
    const Process::Runtimes known = Process::instance().runtimes();
    for (std::size_t i = 0; i < known.count; ++i) function(*known.all[i].load(std::memory_order_relaxed));
  }

  HookScope scope_;
  bool active_ = false;
  std::optional<Gate::Pass> first_;
  std::optional<std::array<std::optional<Gate::Pass>, Process::kMostDevices>> rest_;
};

}  // namespace vhbm::interpose
