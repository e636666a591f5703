#include "interpose/resolver.h"

#include <dlfcn.h>

#include <atomic>

#include "interpose/elf_object.h"

namespace vhbm::interpose {
namespace {

// glibc has both in libc since 2.34, in libdl before.
void* c_library_function(const char* name) noexcept {
  for (const char* file : {"libc.so.6", "libdl.so.2"}) {
    const auto object = ElfObject::find_loaded(file);
    if (!object.has_value()) continue;
    if (void* function = object->function(name)) return function;
  }
  return nullptr;
}

template <typename Function>
Function cached(std::atomic<Function>& place, const char* name) noexcept {
  Function function = place.load(std::memory_order_acquire);
  if (function == nullptr) {
    function = reinterpret_cast<Function>(c_library_function(name));
    place.store(function, std::memory_order_release);
  }
  return function;
}

constinit std::atomic<DlSym> dlsym_function{nullptr};
constinit std::atomic<DlVSym> dlvsym_function{nullptr};

}  // namespace

DlSym real_dlsym() noexcept { return cached(dlsym_function, "dlsym"); }
DlVSym real_dlvsym() noexcept { return cached(dlvsym_function, "dlvsym"); }

void* loaded_libcuda() noexcept {
  // Kept open: the driver is never unloaded while hooks may run.
  static constinit std::atomic<void*> handle{nullptr};
  void* known = handle.load(std::memory_order_acquire);
  if (known == nullptr) {
    known = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
    if (known != nullptr) handle.store(known, std::memory_order_release);
  }
  return known;
}

void* native_function(const char* name) noexcept {
  void* library = loaded_libcuda();
  return library == nullptr ? nullptr : real_dlsym()(library, name);
}

void* next_function(const char* name) noexcept {
  void* next = real_dlsym()(RTLD_NEXT, name);
  return next != nullptr ? next : native_function(name);
}

}  // namespace vhbm::interpose
