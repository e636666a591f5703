// What the stress looks for: bytes that are not the application's, or an error that the application
// would not have met natively. Both are thrown.
#pragma once

#include <cuda.h>

#include <stdexcept>
#include <string>

namespace stress {

struct Harm : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void check(CUresult result, const char* call) {
  if (result == CUDA_SUCCESS) return;
  const char* name = nullptr;
  if (cuGetErrorName(result, &name) != CUDA_SUCCESS) name = "an unknown error";
  throw Harm(std::string(call) + " answered " + name);
}
#define STRESS_CHECK(call) ::stress::check(call, #call)

}  // namespace stress
