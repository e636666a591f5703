#include "engine/access_guard.h"

#include <signal.h>
#include <stdlib.h>

#include <mutex>

namespace simgpu {
namespace {

// Initial-exec: the handler must not be what allocates a thread's block of this variable.
__attribute__((tls_model("initial-exec"))) thread_local sigjmp_buf* active_target = nullptr;
std::mutex handler_mutex;
struct sigaction previous_segv, previous_bus;

}  // namespace

struct SignalHandler {
  static void handle(int signal_number, siginfo_t* info, void* context) {
    if (active_target != nullptr) {
      siglongjmp(*active_target, static_cast<int>(AccessGuard::Outcome::illegal_address));
    }
    const struct sigaction& previous = signal_number == SIGSEGV ? previous_segv : previous_bus;
    if ((previous.sa_flags & SA_SIGINFO) != 0)
      return previous.sa_sigaction(signal_number, info, context);
    if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
      return previous.sa_handler(signal_number);
    }
    signal(signal_number, SIG_DFL);  // returning repeats the access, which now ends the process
  }
};

// A program may install its own handler after us, so this looks again before each piece of work.
void AccessGuard::ensure_handler() noexcept {
  for (const int number : {SIGSEGV, SIGBUS}) {
    struct sigaction current;
    sigaction(number, nullptr, &current);
    if ((current.sa_flags & SA_SIGINFO) != 0 && current.sa_sigaction == &SignalHandler::handle)
      continue;
    std::lock_guard lock(handler_mutex);
    struct sigaction ours {};
    ours.sa_sigaction = &SignalHandler::handle;
    ours.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    struct sigaction replaced;
    sigaction(number, &ours, &replaced);
    if ((replaced.sa_flags & SA_SIGINFO) != 0 && replaced.sa_sigaction == &SignalHandler::handle)
      continue;
    (number == SIGSEGV ? previous_segv : previous_bus) = replaced;
  }
}

sigjmp_buf* AccessGuard::active() noexcept {
  return active_target;
}
void AccessGuard::set_active(sigjmp_buf* target) noexcept {
  active_target = target;
}

void AccessGuard::cancel() {
  if (active_target == nullptr) abort();  // only guarded code calls this
  siglongjmp(*active_target, static_cast<int>(Outcome::cancelled));
}

}  // namespace simgpu
