// cuGetProcAddress: the variant of a function that a CUDA version and a default-stream flag ask
// for.
#include <dlfcn.h>

#include <cstdio>
#include <cstring>

#include "api/symbol.h"
#include "lifecycle.h"

namespace simgpu {
namespace {

const Symbol kSymbols[] = {
#define SYMBOL(name, exported, version, per_thread) \
  {#name, #exported, version, per_thread, reinterpret_cast<void*>(&exported)},
#include "symbols.def"
#undef SYMBOL
};

struct Answer {
  const Symbol* symbol = nullptr;
  bool name_known = false;
};

// The newest variant not newer than `version`; per-thread ones first where these are asked for.
Answer find(const char* name, int version, bool per_thread) {
  Answer answer;
  for (const std::span<const Symbol> symbols :
       {std::span<const Symbol>(kSymbols), unsupported_symbols()}) {
    for (const Symbol& symbol : symbols) {
      if (std::strcmp(symbol.name, name) != 0) continue;
      answer.name_known = true;
      if (symbol.version > version || (symbol.per_thread && !per_thread)) continue;
      const Symbol* best = answer.symbol;
      if (best == nullptr || symbol.per_thread > best->per_thread ||
          (symbol.per_thread == best->per_thread && symbol.version > best->version)) {
        answer.symbol = &symbol;
      }
    }
  }
  return answer;
}

// A line a request for SIMGPU_TRACE_PROC: name, version, flags, the answer's name, who asked.
void trace(const char* name, int version, cuuint64_t flags, const Symbol* symbol, void* caller) {
  static const char* const path = std::getenv("SIMGPU_TRACE_PROC");
  if (path == nullptr || *path == 0) return;
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  static std::FILE* const file = std::fopen(path, "w");
  if (file == nullptr) return;
  Dl_info info{};
  dladdr(caller, &info);
  std::fprintf(file, "%s\t%d\t%llu\t%s\t%s\n", name, version,
               static_cast<unsigned long long>(flags), symbol == nullptr ? "-" : symbol->exported,
               info.dli_fname == nullptr ? "-" : info.dli_fname);
  std::fflush(file);
}

CUresult get(const char* name, void** out, int version, cuuint64_t flags,
             CUdriverProcAddressQueryResult* status, void* caller) {
  if (name == nullptr || out == nullptr || version > CUDA_VERSION ||
      flags > CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const Answer answer = find(name, version, flags == CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM);
  trace(name, version, flags, answer.symbol, caller);
  *out = answer.symbol == nullptr ? nullptr : answer.symbol->function;
  if (status != nullptr) {
    *status = answer.symbol != nullptr ? CU_GET_PROC_ADDRESS_SUCCESS
              : answer.name_known      ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT
                                       : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  }
  return CUDA_SUCCESS;
}

}  // namespace
}  // namespace simgpu

// Works before cuInit, as the driver's does.
extern "C" CUresult cuGetProcAddress(const char* name, void** out, int version, cuuint64_t flags) {
  return simgpu::get(name, out, version, flags, nullptr, __builtin_return_address(0));
}

extern "C" CUresult cuGetProcAddress_v2(const char* name, void** out, int version, cuuint64_t flags,
                                        CUdriverProcAddressQueryResult* status) {
  return simgpu::get(name, out, version, flags, status, __builtin_return_address(0));
}
