// Turns a bad access of simulated GPU work into a result instead of the process's death: a SIGSEGV
// or SIGBUS inside guarded code ends that code, anywhere else it goes to whoever handled it before.
#pragma once

#include <setjmp.h>

namespace simgpu {

class AccessGuard {
 public:
  enum class Outcome { completed, illegal_address, cancelled };

  // Runs `work`; local objects of it are not destroyed when it is cut short, so it should own
  // nothing.
  template <typename Work>
  static Outcome run(Work&& work) noexcept {
    ensure_handler();
    sigjmp_buf target;
    sigjmp_buf* const outer = active();
    const int cut = sigsetjmp(target, 0);
    if (cut == 0) {
      set_active(&target);
      work();
    }
    set_active(outer);
    return static_cast<Outcome>(cut);
  }

  // Ends the guarded code of the calling thread: its device is gone or its context dies.
  [[noreturn]] static void cancel();

 private:
  static void ensure_handler() noexcept;
  static sigjmp_buf* active() noexcept;
  static void set_active(sigjmp_buf* target) noexcept;
  friend struct SignalHandler;
};

}  // namespace simgpu
