// How every runtime function reaches the driver: connect, take up the current device's primary
// context where one is needed, call, remember the error.
#pragma once

#include "current_device.h"
#include "driver_calls.h"
#include "last_error.h"

namespace simgpu_cudart {

enum class Needs { driver, context };

inline cudaError_t ready(Needs needs) {
  const cudaError_t error = connect();
  return error != cudaSuccess || needs == Needs::driver ? error : ensure_context();
}

template <Needs needs, DefaultStream stream, auto entry, typename... Arguments>
cudaError_t call(Arguments... arguments) {
  if (cudaError_t error = ready(needs); error != cudaSuccess) return remember(error);
  const auto function = driver(stream).*entry;
  if (function == nullptr) return remember(cudaErrorCallRequiresNewerDriver);
  return remember(as_runtime_error(function(arguments...)));
}

// Of functions that mean no default stream.
template <auto entry, typename... Arguments>
cudaError_t call_driver(Arguments... arguments) {
  return call<Needs::driver, DefaultStream::legacy, entry>(arguments...);
}
template <auto entry, typename... Arguments>
cudaError_t call_in_context(Arguments... arguments) {
  return call<Needs::context, DefaultStream::legacy, entry>(arguments...);
}

inline CUdeviceptr address(const void* pointer) {
  return reinterpret_cast<CUdeviceptr>(pointer);
}

}  // namespace simgpu_cudart
