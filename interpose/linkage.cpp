// libcuda is found where the process has it, never loaded: a process without it stays without it.
#include "interpose/linkage.h"

#include <dlfcn.h>

#include <new>

#include "interpose/real_dlsym.h"
#include "runtime/options.h"

namespace vhbm::interpose {

bool disabled_by_environment() noexcept {
  try {
    return Options::disabled_by_environment();
  } catch (const std::bad_alloc&) {
    return true;
  }
}

constinit std::atomic<const Linkage*> published_linkage{nullptr};

namespace {

// Where a stand-in has the driver's own name (`vhbm run --via-library-path`), the driver has the
// first.
constexpr const char* driver_names[] = {"libvhbm_driver.so", "libcuda.so.1"};

}  // namespace

Linkage::Linkage(void* libcuda) {
  const Dlsym find = real_dlsym();
  const auto in_libcuda = [&](const char* name) { return find(libcuda, name); };
  const auto after_us = [&](const char* name) {
    void* definition = find(RTLD_NEXT, name);
    // libcuda is not in the search order when it was loaded by dlopen.
    return definition != nullptr ? definition : find(libcuda, name);
  };
  next.load(after_us);
  own.load(in_libcuda);
  ask.load(in_libcuda);
  missing = own.missing();
  const char* missing_for_runtime = nullptr;
  if (!driver.load(in_libcuda, &missing_for_runtime)) missing = missing_for_runtime;
  if (disabled_by_environment()) return;
#define HOOK(group, need, name, symbol)                                                \
  stands_for(reinterpret_cast<void*>(own.symbol), reinterpret_cast<void*>(&::symbol)); \
  stands_for(reinterpret_cast<void*>(next.symbol), reinterpret_cast<void*>(&::symbol));
#include "interpose/symbols.def"
#undef HOOK
}

void Linkage::stands_for(void* function, void* hook) {
  if (function == nullptr) return;
  std::size_t i = slot_of(function);
  for (; hooked_[i].function != nullptr; i = (i + 1) % slots) {
    if (hooked_[i].function == function) return;
  }
  hooked_[i] = {function, hook};
}

const Linkage* link_up() noexcept {
  if (real_dlsym() == nullptr) return nullptr;
  // Kept open: from here on the process cannot unload what we point into.
  void* libcuda = nullptr;
  for (const char* name : driver_names) {
    if (libcuda == nullptr) libcuda = dlopen(name, RTLD_NOLOAD | RTLD_LAZY);
  }
  if (libcuda == nullptr) {
    dlerror();
    return nullptr;
  }
  const auto* made = new (std::nothrow) Linkage(libcuda);
  // Names that this driver lacks have left a message; the application did not ask for them.
  dlerror();
  const Linkage* published = nullptr;
  if (made != nullptr && !published_linkage.compare_exchange_strong(published, made)) {
    delete made;
    return published;
  }
  return made;
}

}  // namespace vhbm::interpose
