#include "lifecycle.h"

#include "engine/fuzzer.h"
#include "engine/thread_state.h"

namespace simgpu {

Call::Call(const char* function, Needs needs) {
  Machine* instance = machine();
  if (instance == nullptr) {
    if (needs != Needs::nothing) result_ = CUDA_ERROR_NOT_INITIALIZED;
    return;
  }
  Fuzzer::point();
  if (thread_state().in_host_function && needs != Needs::nothing) {
    result_ = CUDA_ERROR_NOT_PERMITTED;
    return;
  }
  lock_ = instance->lock();
  if (!instance->faults.empty()) result_ = instance->faults.next_call(function);
  if (result_ != CUDA_SUCCESS || needs != Needs::context) return;
  context_ = current_context();
  if (context_ == nullptr) {
    result_ = CUDA_ERROR_INVALID_CONTEXT;
  } else if (!context_->alive) {
    result_ = CUDA_ERROR_CONTEXT_IS_DESTROYED;
  } else {
    result_ = context_->error;
  }
}

void Call::spend(double seconds) {
  Costs& costs = *machine()->costs;
  if (costs.sleeps()) {
    owed_ += seconds;
  } else {
    costs.spend(seconds);
  }
}

void Call::sleep() {
  lock_.unlock();
  machine()->costs->sleep(owed_);
}

void Call::observed(const OperationPtr& operation) {
  Machine& m = *machine();
  if (m.costs != nullptr && operation != nullptr) m.costs->observed(lock_, m, *operation);
}

CUresult Call::unsafe_while_capturing() {
  const CUstreamCaptureMode mode = thread_state().capture_mode;
  if (mode == CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_SUCCESS;
  bool forbidden = false;
  for (const auto& capture : machine()->captures) {
    const bool own = capture->thread == std::this_thread::get_id();
    const bool counts = own ? capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED
                            : mode == CU_STREAM_CAPTURE_MODE_GLOBAL &&
                                  capture->mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
    if (!counts) continue;
    capture->valid = false;
    forbidden = true;
  }
  return forbidden ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS;
}

}  // namespace simgpu
