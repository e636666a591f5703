// The driver answers first, honouring version and flags; then the very function it returned is
// replaced, never one chosen by name. So a request for cuGetProcAddress itself is answered with
// ours.
#include "interpose/hook_scope.h"

using namespace vhbm::interpose;

namespace {

CUresult replaced(const HookScope& scope, CUresult result, void** out) {
  if (result == CUDA_SUCCESS && out != nullptr && *out != nullptr) {
    *out = scope.linkage().hook_or(*out);
  }
  return result;
}

}  // namespace

extern "C" {

CUresult CUDAAPI cuGetProcAddress(const char* name, void** out, int version, cuuint64_t flags) {
  const HookScope scope;
  return replaced(scope, scope.call(&Functions::cuGetProcAddress, name, out, version, flags), out);
}

CUresult CUDAAPI cuGetProcAddress_v2(const char* name, void** out, int version, cuuint64_t flags,
                                     CUdriverProcAddressQueryResult* status) {
  const HookScope scope;
  return replaced(
      scope, scope.call(&Functions::cuGetProcAddress_v2, name, out, version, flags, status), out);
}

}  // extern "C"
