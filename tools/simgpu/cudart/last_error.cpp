// Errors: names, texts, and the last one of each thread. An error that killed its context is
// sticky: reading it does not clear it, since the device is of no more use to the process.
#include "last_error.h"

#include <cuda_runtime_api.h>

namespace simgpu_cudart {
namespace {

thread_local cudaError_t last_error = cudaSuccess;

bool is_sticky(cudaError_t error) {
  switch (error) {
    case cudaErrorECCUncorrectable:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
      return true;
    default:
      return false;
  }
}

struct KnownError {
  cudaError_t error;
  const char *name, *text;
};
constexpr KnownError kErrors[] = {
#define ERROR(error, text) {error, #error, text},
#include "error.def"
#undef ERROR
};

constexpr KnownError kUnknown{cudaErrorUnknown, "unrecognized error code",
                              "unrecognized error code"};

const KnownError& find(cudaError_t error) {
  for (const KnownError& known : kErrors) {
    if (known.error == error) return known;
  }
  return kUnknown;
}

}  // namespace

cudaError_t remember(cudaError_t error) {
  if (error != cudaSuccess && !is_sticky(last_error)) last_error = error;
  return error;
}

void forget_error() {
  last_error = cudaSuccess;
}

}  // namespace simgpu_cudart

using namespace simgpu_cudart;

extern "C" {

cudaError_t cudaGetLastError() {
  const cudaError_t error = last_error;
  if (!is_sticky(error)) last_error = cudaSuccess;
  return error;
}

cudaError_t cudaPeekAtLastError() {
  return last_error;
}

const char* cudaGetErrorName(cudaError_t error) {
  return find(error).name;
}

const char* cudaGetErrorString(cudaError_t error) {
  return find(error).text;
}
}
