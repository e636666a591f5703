#include "runtime/cupti/cupti_kernel_times.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "runtime/cupti/cupti_buffers.h"

namespace vhbm {
namespace {

// How long the end, of the process too, waits for a call of CUPTI that is under way.
constexpr std::chrono::seconds patience{1};

constexpr const char* taken =
    "a profiler has this process's CUPTI, or had it, which serves only one: the program's own, or "
    "Nsight or a debugger around it. It is left to that one";
constexpr const char* none_there =
    "there is no CUPTI in this process's reach: install it (the toolkit's package cuda-cupti, or "
    "Python's nvidia-cuda-cupti), with its folder in LD_LIBRARY_PATH if the loader would not find "
    "it";

// Not locked when it cannot be had in time. Polls: what a timed mutex calls is unknown to GCC 12's
// thread sanitizer.
std::unique_lock<std::mutex> locked_in_time(std::mutex& mutex) {
  std::unique_lock lock(mutex, std::try_to_lock);
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!lock.owns_lock() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    (void)lock.try_lock();
  }
  return lock;
}

void ignore_callback(void*, int, std::uint32_t, const void*) {}

// Whom the end of the process switches off.
constinit std::atomic<CuptiKernelTimes*> switched_on{nullptr};
// In this process, by whichever source: CUPTI cannot be asked whether callbacks are ours.
constinit std::atomic<bool> registered{false};

// That nobody else has this CUPTI.
Status check_free(const CuptiLibrary& library) {
  const CuptiFunctions& cupti = library.functions();
  // cupti_activity.h: an invalid operation, unless callbacks were registered. So somebody has.
  // Only a copy that the process had already can have such a client; and after our own are
  // registered, nothing can be told by it any more.
  if (library.was_loaded() && !registered.load() &&
      cupti.ActivityFlushAll(0) == CuptiResult::success) {
    return {Errc::system_error, taken};
  }
  // cupti_callbacks.h: clients are to subscribe before they begin, and whoever finds another one
  // is told so; "the same error when application is launched using NVIDIA tools".
  CuptiSubscriber subscriber = nullptr;
  const CuptiResult asked = cupti.Subscribe(&subscriber, &ignore_callback, nullptr);
  if (asked == CuptiResult::multiple_subscribers) return {Errc::system_error, taken};
  if (asked != CuptiResult::success) {
    return {Errc::unsupported, library.file() + " does not work with this driver: " +
                                   library.told("cuptiSubscribe", asked)};
  }
  (void)cupti.Unsubscribe(subscriber);
  return {};
}

}  // namespace

CuptiKernelTimes::CuptiKernelTimes(Candidates candidates)
    : candidates_(std::move(candidates)), owner_(getpid()) {}

CuptiKernelTimes::~CuptiKernelTimes() {
  (void)stop();
}

// The child of a fork has no CUDA, and a thread that is gone may hold the lock.
bool CuptiKernelTimes::in_child() const noexcept {
  return getpid() != owner_;
}

Status CuptiKernelTimes::start() {
  if (in_child()) return {Errc::unsupported, "the child of a fork has no CUDA"};
  std::lock_guard lock(calls_);
  if (state_ == State::on) return {};
  if (state_ == State::ended) return {Errc::unsupported, "the process is ending"};
  if (library_) {
    if (Status free = check_free(*library_); !free.ok()) return free;
  } else {
    auto found = find();
    if (!found.ok()) return found.status();
    library_ = std::move(*found);
  }
  return switch_on();
}

Result<CuptiLibrary> CuptiKernelTimes::find() const {
  Status why(Errc::unsupported, none_there);
  for (const std::string& path : candidates_()) {
    const bool is_path = path.find('/') != std::string::npos;
    if (is_path && access(path.c_str(), R_OK) != 0) continue;
    auto opened = CuptiLibrary::open(path);
    if (!opened.ok()) {
      // Of mere names, most are of versions that nobody installed.
      if (is_path || opened.status().code() != Errc::system_error) why = opened.status();
      continue;
    }
    const Status free = check_free(*opened);
    if (free.ok()) return opened;
    why = free;
    // Another one may suit the driver better; but not beside the process's own.
    if (opened->was_loaded() || free.code() == Errc::system_error) break;
  }
  return why;
}

Status CuptiKernelTimes::switch_on() {
  const CuptiFunctions& cupti = library_->functions();
  CuptiBuffers& buffers = CuptiBuffers::get();
  const auto failed = [&](const char* function, CuptiResult result) {
    buffers.end();
    return Status(Errc::unsupported, library_->file() + ": " + library_->told(function, result));
  };
  if (!buffers.clock.compare(cupti)) {
    return {Errc::unsupported, library_->file() + ": cuptiGetTimestamp tells no time"};
  }
  // Again each time: a profiler may have had its own between.
  CuptiResult result =
      cupti.ActivityRegisterCallbacks(&CuptiBuffers::requested, &CuptiBuffers::completed);
  if (result != CuptiResult::success) return failed("cuptiActivityRegisterCallbacks", result);
  registered.store(true);
  // Of what was dropped before.
  std::size_t dropped = 0;
  (void)cupti.ActivityGetNumDroppedRecords(nullptr, 0, &dropped);
  buffers.begin(cupti);
  result = cupti.ActivityEnable(CuptiActivityKind::concurrent_kernel);
  if (result != CuptiResult::success) return failed("cuptiActivityEnable", result);
  state_ = State::on;
  switched_on.store(this);
  // Now, since what was registered last is called first: CUPTI's own end comes after it.
  static std::atomic<bool> watches_exit{false};
  if (!watches_exit.exchange(true)) std::atexit(&at_exit);
  return {};
}

void CuptiKernelTimes::take(std::vector<KernelSpan>& spans) {
  if (in_child()) return;
  std::lock_guard lock(calls_);
  CuptiBuffers& buffers = CuptiBuffers::get();
  if (state_ == State::on) {
    const CuptiFunctions& cupti = library_->functions();
    (void)buffers.clock.compare(cupti);
    // cupti_activity.h: it waits for no work, and "can be done at a regular interval".
    (void)cupti.ActivityFlushAll(0);
    std::size_t dropped = 0;
    if (cupti.ActivityGetNumDroppedRecords(nullptr, 0, &dropped) == CuptiResult::success) {
      buffers.dropped(dropped);
    }
  }
  buffers.take(spans);
}

std::uint64_t CuptiKernelTimes::lost() const {
  return in_child() ? 0 : CuptiBuffers::get().lost();
}

Status CuptiKernelTimes::stop() {
  if (in_child()) return {};
  const auto lock = locked_in_time(calls_);
  if (!lock.owns_lock()) return {Errc::system_error, "CUPTI does not come back from a call"};
  return state_ == State::on ? switch_off() : Status();
}

Status CuptiKernelTimes::switch_off() {
  const CuptiFunctions& cupti = library_->functions();
  CuptiBuffers& buffers = CuptiBuffers::get();
  state_ = State::off;
  switched_on.store(nullptr);
  const Status free = check_free(*library_);
  if (free.code() == Errc::system_error) {
    // What is enabled is that one's by now, and so is every buffer.
    buffers.end();
    return {Errc::system_error,
            "a profiler began in this process and took CUPTI over: kernel times end where it did"};
  }
  (void)cupti.ActivityDisable(CuptiActivityKind::concurrent_kernel);
  (void)cupti.ActivityFlushAll(cupti_flush_forced);
  buffers.end();
  return {};
}

// CUPTI is not to be called once it has ended, and its threads end with the process.
void CuptiKernelTimes::at_exit() {
  CuptiKernelTimes* const times = switched_on.load();
  if (times == nullptr || times->in_child()) return;
  const auto lock = locked_in_time(times->calls_);
  if (!lock.owns_lock()) return;
  if (times->state_ == State::on) (void)times->switch_off();
  times->state_ = State::ended;
}

}  // namespace vhbm
