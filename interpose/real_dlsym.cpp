// Read out of the loaded C library's symbol table: asking dlsym for dlsym would lead back here. The
// loader's list is read where it lies; its functions may be interposed, and call dlsym themselves.
#include "interpose/real_dlsym.h"

#include <link.h>

#include <atomic>

#include "interpose/elf_object.h"

namespace vhbm::interpose {
namespace {

// dlsym lives in libdl before glibc 2.34, and in libc since.
constexpr const char* homes[] = {"libc.so.6", "libdl.so.2"};

void* find(const char* name) {
  for (const char* home : homes) {
    for (const link_map* loaded = _r_debug.r_map; loaded != nullptr; loaded = loaded->l_next) {
      const ElfObject object(*loaded);
      if (!object.is_named(home)) continue;
      if (void* found = object.find(name); found != nullptr) return found;
    }
  }
  return nullptr;
}

constinit std::atomic<void*> dlsym_found{nullptr};
constinit std::atomic<void*> dlvsym_found{nullptr};

void* find_once(std::atomic<void*>& found, const char* name) {
  void* function = found.load(std::memory_order_acquire);
  if (function == nullptr) {
    function = find(name);
    found.store(function, std::memory_order_release);
  }
  return function;
}

}  // namespace

Dlsym real_dlsym() noexcept {
  return reinterpret_cast<Dlsym>(find_once(dlsym_found, "dlsym"));
}

Dlvsym real_dlvsym() noexcept {
  return reinterpret_cast<Dlvsym>(find_once(dlvsym_found, "dlvsym"));
}

}  // namespace vhbm::interpose
