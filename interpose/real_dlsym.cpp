// Read out of the loaded C library's symbol table: asking dlsym for dlsym would lead back here.
#include "interpose/real_dlsym.h"

#include <link.h>

#include <atomic>
#include <cstring>

#include "interpose/elf_object.h"

namespace vhbm::interpose {
namespace {

// dlsym lives in libdl before glibc 2.34, and in libc since.
constexpr const char* homes[] = {"libc.so.6", "libdl.so.2"};

struct Search {
  const char* home;
  const char* name;
  void* found;
};

int look_into(dl_phdr_info* info, std::size_t, void* data) {
  auto* search = static_cast<Search*>(data);
  const ElfObject object(*info);
  if (std::strcmp(object.soname(), search->home) != 0) return 0;
  search->found = object.find(search->name);
  return 1;
}

void* find(const char* name) {
  for (const char* home : homes) {
    Search search{home, name, nullptr};
    dl_iterate_phdr(&look_into, &search);
    if (search.found != nullptr) return search.found;
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
