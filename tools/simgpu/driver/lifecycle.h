// Starting the machine, and what every entry of the API does first.
#pragma once

#include <cuda.h>

#include <mutex>

#include "context.h"
#include "machine.h"

namespace simgpu {

// Reads the settings and makes the machine, once. CUDA_ERROR_INVALID_VALUE, with a line on standard
// error, for settings that cannot be read.
CUresult start_machine();

// The first line of an API entry: `Call call(__func__, Needs::context); if (call.refused()) return
// …`. Applies the fault plan, and refuses as the driver does before cuInit, inside host functions,
// without a usable context, and in a context whose error is sticky. Holds the machine's lock from
// then on.
enum class Needs { nothing, driver, context };

class Call {
 public:
  Call(const char* function, Needs needs);
  ~Call() {
    if (owed_ > 0) sleep();
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  bool refused() const { return result_ != CUDA_SUCCESS; }
  CUresult result() const { return result_; }
  Context& context() const { return *context_; }
  std::unique_lock<std::mutex>& lock() { return lock_; }

  // For calls that capture forbids in its stricter modes: CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
  // and the capture is spoilt (cuda.h: cuThreadExchangeStreamCaptureMode).
  CUresult unsafe_while_capturing();

  // The call takes this long; on the real clock, sleeps once it lets go of the lock. Only with a
  // device profile.
  void spend(double seconds);
  // The caller has seen that the operation is done.
  void observed(const OperationPtr& operation);

 private:
  std::unique_lock<std::mutex> lock_;
  Context* context_ = nullptr;
  CUresult result_ = CUDA_SUCCESS;
  double owed_ = 0;  // seconds to sleep for

  void sleep();
};

#define SIMGPU_CALL(needs) SIMGPU_CALL_OF(__func__, needs)
// For a function that several entries share: `function` is the entry's name.
#define SIMGPU_CALL_OF(function, needs)                  \
  ::simgpu::Call call(function, ::simgpu::Needs::needs); \
  if (call.refused()) return call.result();              \
  [[maybe_unused]] ::simgpu::Machine& m = *::simgpu::machine()

}  // namespace simgpu
