// libnvidia-ml is found where the process has it, never loaded.
#include "interpose/nvml_linkage.h"

#include <dlfcn.h>

#include <atomic>
#include <new>

#include "interpose/linkage.h"
#include "interpose/real_dlsym.h"

namespace vhbm::interpose {
namespace {

constinit std::atomic<const NvmlLinkage*> published{nullptr};

}  // namespace

NvmlLinkage::NvmlLinkage(void* library) : disabled_(disabled_by_environment()) {
  const Dlsym find = real_dlsym();
  const auto load = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::decay_t<decltype(function)>>(find(library, name));
  };
  const auto load_next = [&](auto& function, const char* name, auto otherwise) {
    function = reinterpret_cast<decltype(otherwise)>(find(RTLD_NEXT, name));
    // The library is not in the search order when it was loaded by dlopen.
    if (function == nullptr) function = otherwise;
  };
#define NVML_HOOK(symbol, ...) \
  load(own.symbol, #symbol);   \
  load_next(next.symbol, #symbol, own.symbol);
#define NVML_QUERY(symbol, ...) load(ask.symbol, #symbol);
#include "interpose/nvml.def"
#undef NVML_QUERY
#undef NVML_HOOK
}

void* NvmlLinkage::hook_or(void* function) const noexcept {
  if (disabled_ || function == nullptr) return function;
#define NVML_HOOK(symbol, ...)                            \
  if (function == reinterpret_cast<void*>(own.symbol) ||  \
      function == reinterpret_cast<void*>(next.symbol)) { \
    return reinterpret_cast<void*>(&interpose::symbol);   \
  }
#define NVML_QUERY(symbol, ...)
#include "interpose/nvml.def"
#undef NVML_QUERY
#undef NVML_HOOK
  return function;
}

const NvmlLinkage* nvml_linkage() noexcept {
  const NvmlLinkage* known = published.load(std::memory_order_acquire);
  if (known != nullptr || real_dlsym() == nullptr) return known;
  // Kept open: from here on the process cannot unload what we point into.
  void* library = dlopen("libnvidia-ml.so.1", RTLD_NOLOAD | RTLD_LAZY);
  if (library == nullptr) {
    dlerror();
    return nullptr;
  }
  const auto* made = new (std::nothrow) NvmlLinkage(library);
  // Names that this library lacks have left a message; the application did not ask for them.
  dlerror();
  if (made != nullptr && !published.compare_exchange_strong(known, made)) {
    delete made;
    return known;
  }
  return made;
}

}  // namespace vhbm::interpose
