// What the exported dlsym and dlvsym answer. The real resolver is asked first, and only an address
// that is one of libcuda's or libnvidia-ml's hooked functions is replaced. May run before any
// constructor of the process. Locking: none.
#include <dlfcn.h>

#include "interpose/linkage.h"
#include "interpose/nvml_linkage.h"
#include "interpose/real_dlsym.h"

namespace vhbm::interpose {
namespace {

bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}

// All names of the driver API begin like this; almost none of anybody else's do.
bool may_be_the_drivers(const char* name) {
  return name[0] == 'c' && name[1] == 'u' && is_upper(name[2]);
}
// And those of the management library.
bool may_be_nvmls(const char* name) {
  return name[0] == 'n' && name[1] == 'v' && name[2] == 'm' && name[3] == 'l' && is_upper(name[4]);
}
bool may_be_hooked(const char* name) {
  return name != nullptr && (may_be_the_drivers(name) || may_be_nvmls(name));
}

// For RTLD_NEXT and RTLD_DEFAULT the answer depends on who asks. What they find by searching is our
// own export, or that of a library which the caller's place in the order entitles it to.
bool depends_on_caller(void* handle) {
  return handle == RTLD_NEXT || handle == RTLD_DEFAULT;
}

template <typename Linked>
void* replaced_by(const Linked* linked, void* function) {
  // Looking for the library may have left a message that is not the caller's.
  dlerror();
  return linked == nullptr ? function : linked->hook_or(function);
}

void* replaced(const char* name, void* function) {
  if (function == nullptr) return nullptr;
  return may_be_nvmls(name) ? replaced_by(nvml_linkage(), function)
                            : replaced_by(linkage(), function);
}

void* hooked_dlsym(void* handle, const char* name) {
  return replaced(name, real_dlsym()(handle, name));
}

void* hooked_dlvsym(void* handle, const char* name, const char* version) {
  return replaced(name, real_dlvsym()(handle, name, version));
}

void* no_dlsym(void*, const char*) {
  return nullptr;
}
void* no_dlvsym(void*, const char*, const char*) {
  return nullptr;
}

}  // namespace
}  // namespace vhbm::interpose

using namespace vhbm::interpose;

// The function that answers this call; called by dlsym_entry.S, which jumps to it.
extern "C" Dlsym vhbm_dlsym_target(void* handle, const char* name) {
  const Dlsym real = real_dlsym();
  if (real == nullptr) return &no_dlsym;
  return depends_on_caller(handle) || !may_be_hooked(name) ? real : &hooked_dlsym;
}

extern "C" Dlvsym vhbm_dlvsym_target(void* handle, const char* name) {
  const Dlvsym real = real_dlvsym();
  if (real == nullptr) return &no_dlvsym;
  return depends_on_caller(handle) || !may_be_hooked(name) ? real : &hooked_dlvsym;
}
