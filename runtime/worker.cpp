#include "runtime/worker.h"

#include <pthread.h>
#include <unistd.h>

#include "runtime/signals_blocked.h"

namespace vhbm {
namespace {

// How long stop() waits for a round to end.
constexpr std::chrono::seconds stop_patience{3};

}  // namespace

Status Worker::start(const char* name, std::chrono::nanoseconds interval,
                     std::function<void()> round) {
  owner_ = getpid();
  state_ = std::make_shared<State>();
  const SignalsBlocked blocked;
  try {
    thread_ = std::thread([state = state_, interval, round = std::move(round)] {
      std::unique_lock lock(state->mutex);
      while (!state->stopping) {
        state->wake.wait_for(lock, interval, [&] { return state->stopping || state->woken; });
        if (state->stopping) break;
        state->woken = false;
        lock.unlock();
        round();
        lock.lock();
      }
      state->ended = true;
      state->wake.notify_all();
    });
    running_ = true;
    pthread_setname_np(thread_.native_handle(), name);
  } catch (const std::system_error& error) {
    return {Errc::system_error, std::string("no thread: ") + error.what()};
  }
  return {};
}

void Worker::wake() noexcept {
  if (state_ == nullptr) return;
  std::lock_guard lock(state_->mutex);
  state_->woken = true;
  state_->wake.notify_all();
}

bool Worker::stopping() const noexcept {
  std::lock_guard lock(state_->mutex);
  return state_->stopping;
}

void Worker::stop() noexcept {
  if (!thread_.joinable()) return;
  if (getpid() != owner_) {
    thread_.detach();
    return;
  }
  bool ended = false;
  {
    std::unique_lock lock(state_->mutex);
    state_->stopping = true;
    state_->wake.notify_all();
    ended = state_->wake.wait_for(lock, stop_patience, [&] { return state_->ended; });
  }
  if (ended) {
    thread_.join();
    running_ = false;
  } else {
    thread_.detach();
  }
}

}  // namespace vhbm
