// Streams, the null stream and the events of destroyed streams are asked one by one; where the
// driver has cuCtxRecordEvent, one event a context says it for everything, per-thread streams
// included.
#include "runtime/drain.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "runtime/context_scope.h"
#include "runtime/protection.h"

namespace vhbm {
namespace {

// All answers that have to do with a capture are numbered together.
bool is_about_capture(CUresult result) {
  return result >= CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED &&
         result <= CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
}

}  // namespace

Drain::~Drain() {
  for (Context& context : contexts_) {
    ContextScope scope(driver_, context.handle);
    if (scope.result() != CUDA_SUCCESS) continue;
    for (CUevent event : context.left_behind) driver_.cuEventDestroy_v2(event);
    if (context.everything != nullptr) driver_.cuEventDestroy_v2(context.everything);
  }
}

void Drain::context_created(CUcontext context) {
  std::lock_guard lock(mutex_);
  for (const Context& known : contexts_) {
    if (known.handle == context) return;
  }
  contexts_.push_back({context, {}, {}, nullptr});
}

void Drain::context_destroyed(CUcontext context) {
  std::unique_lock lock(mutex_);
  mark_removed_.wait(lock, [&] {
    const Context* known = find(context);
    return known == nullptr || known->marks == 0;
  });
  std::erase_if(contexts_, [&](const Context& known) { return known.handle == context; });
}

void Drain::stream_created(CUcontext context, CUstream stream) {
  context_created(context);
  std::lock_guard lock(mutex_);
  for (Context& known : contexts_) {
    if (known.handle != context) continue;
    const auto& streams = known.streams;
    if (std::find(streams.begin(), streams.end(), stream) == streams.end()) {
      known.streams.push_back(stream);
    }
  }
}

void Drain::stream_destroyed(CUstream stream) {
  std::lock_guard lock(mutex_);
  for (Context& context : contexts_) {
    const auto found = std::find(context.streams.begin(), context.streams.end(), stream);
    if (found == context.streams.end()) continue;
    context.streams.erase(found);
    RelaxedCapture relaxed(driver_);
    ContextScope scope(driver_, context.handle);
    CUevent event = nullptr;
    const CUresult asked = driver_.cuStreamQuery(stream);
    if (asked == CUDA_SUCCESS || is_about_capture(asked)) return;
    if (driver_.cuEventCreate(&event, CU_EVENT_DISABLE_TIMING) != CUDA_SUCCESS) {
      lost_track_ = true;
    } else if (driver_.cuEventRecord(event, stream) == CUDA_SUCCESS) {
      context.left_behind.push_back(event);
    } else {
      lost_track_ = true;
      driver_.cuEventDestroy_v2(event);
    }
    return;
  }
}

std::vector<CUcontext> Drain::contexts() const {
  std::lock_guard lock(mutex_);
  std::vector<CUcontext> handles;
  for (const Context& context : contexts_) handles.push_back(context.handle);
  return handles;
}

Drain::Context* Drain::find(CUcontext context) {
  for (Context& known : contexts_) {
    if (known.handle == context) return &known;
  }
  return nullptr;
}

Drain::State Drain::judge(CUresult result) {
  if (result == CUDA_SUCCESS) return State::quiet;
  if (result == CUDA_ERROR_NOT_READY) return State::busy;
  if (is_about_capture(result)) return State::capturing;
  failure_.store(result);
  return State::failed;
}

bool Drain::is_left_out(const Context& context) const {
  return !keeps(Protection::other_contexts) && &context != &contexts_.front();
}

Drain::State Drain::begin() {
  if (capturing()) return State::capturing;
  std::lock_guard lock(mutex_);
  for (Context& context : contexts_) {
    if (!sees_everything() || is_left_out(context)) break;
    ContextScope scope(driver_, context.handle);
    if (scope.result() != CUDA_SUCCESS) return judge(scope.result());
    if (context.everything == nullptr) {
      const CUresult made = driver_.cuEventCreate(&context.everything, CU_EVENT_DISABLE_TIMING);
      if (made != CUDA_SUCCESS) return judge(made);
    }
    const CUresult recorded = driver_.cuCtxRecordEvent(context.handle, context.everything);
    if (recorded == CUDA_ERROR_NOT_SUPPORTED) {
      context_events_work_ = false;
    } else if (recorded != CUDA_SUCCESS) {
      return judge(recorded);
    }
  }
  if (!sees_everything() && (per_thread_.load() || lost_track_)) return State::unseen;
  return State::quiet;
}

Drain::State Drain::poll() {
  std::lock_guard lock(mutex_);
  for (Context& context : contexts_) {
    if (is_left_out(context)) break;
    if (const State state = poll(context); state != State::quiet) return state;
  }
  return State::quiet;
}

Drain::State Drain::poll(Context& context) {
  ContextScope scope(driver_, context.handle);
  if (scope.result() != CUDA_SUCCESS) return judge(scope.result());
  if (const State state = judge(driver_.cuStreamQuery(nullptr)); state != State::quiet)
    return state;
  for (CUstream stream : context.streams) {
    if (const State state = judge(driver_.cuStreamQuery(stream)); state != State::quiet)
      return state;
  }
  while (!context.left_behind.empty()) {
    const State state = judge(driver_.cuEventQuery(context.left_behind.back()));
    if (state != State::quiet) return state;
    driver_.cuEventDestroy_v2(context.left_behind.back());
    context.left_behind.pop_back();
  }
  if (!sees_everything()) return State::quiet;
  // A context announced since begin() has no work that was let through the gate.
  return context.everything == nullptr ? State::quiet
                                       : judge(driver_.cuEventQuery(context.everything));
}

Drain::State Drain::wait() {
  RelaxedCapture relaxed(driver_);
  std::vector<Mark> marks;
  State state = mark(marks);
  auto pause = std::chrono::microseconds(5);
  while (!marks.empty()) {
    std::erase_if(marks, [&](const Mark& mark) {
      const CUresult result = query(mark);
      if (result == CUDA_ERROR_NOT_READY) return false;
      if (result != CUDA_SUCCESS) state = judge(result);
      remove(mark);
      return true;
    });
    if (marks.empty()) break;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::microseconds(200));
  }
  return state == State::unseen || state == State::failed ? synchronize() : state;
}

// No capture begins meanwhile, which recording would break.
Drain::State Drain::mark(std::vector<Mark>& marks) {
  std::lock_guard lock(mutex_);
  if (capturing()) return State::capturing;
  if (!sees_everything()) return State::unseen;
  marks.reserve(contexts_.size());
  for (Context& context : contexts_) {
    ContextScope scope(driver_, context.handle);
    if (scope.result() != CUDA_SUCCESS) return judge(scope.result());
    Mark mark{context.handle, nullptr};
    CUresult result = driver_.cuEventCreate(&mark.event, CU_EVENT_DISABLE_TIMING);
    if (result != CUDA_SUCCESS) return judge(result);
    ++context.marks;
    marks.push_back(mark);
    result = driver_.cuCtxRecordEvent(context.handle, mark.event);
    if (result == CUDA_ERROR_NOT_SUPPORTED) context_events_work_ = false;
    if (result != CUDA_SUCCESS) return context_events_work_ ? judge(result) : State::unseen;
  }
  return State::quiet;
}

CUresult Drain::query(const Mark& mark) {
  ContextScope scope(driver_, mark.context);
  return scope.result() == CUDA_SUCCESS ? driver_.cuEventQuery(mark.event) : scope.result();
}

void Drain::remove(const Mark& mark) {
  {
    ContextScope scope(driver_, mark.context);
    if (scope.result() == CUDA_SUCCESS) driver_.cuEventDestroy_v2(mark.event);
  }
  std::lock_guard lock(mutex_);
  if (Context* context = find(mark.context); context != nullptr) --context->marks;
  mark_removed_.notify_all();
}

// Where no mark could be left or asked: breaks a capture that begins just now.
Drain::State Drain::synchronize() {
  for (CUcontext context : contexts()) {
    ContextScope scope(driver_, context);
    if (scope.result() != CUDA_SUCCESS) return judge(scope.result());
    const State state = judge(driver_.cuCtxSynchronize());
    if (state != State::quiet) return state;
  }
  return State::quiet;
}

}  // namespace vhbm
