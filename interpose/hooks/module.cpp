// What is unloaded may leave its functions' handles to others.
#include "interpose/hook_scope.h"

using namespace vhbm::interpose;

extern "C" {

CUresult CUDAAPI cuModuleUnload(CUmodule module) {
  const HookScope scope;
  if (scope.runtime() != nullptr) Session::get().layouts.forget();
  return scope.call(&Functions::cuModuleUnload, module);
}

CUresult CUDAAPI cuLibraryUnload(CUlibrary library) {
  const HookScope scope;
  if (scope.runtime() != nullptr) Session::get().layouts.forget();
  return scope.call(&Functions::cuLibraryUnload, library);
}

}  // extern "C"
