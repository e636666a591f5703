// What the exported dlsym and dlvsym answer. The real resolver is asked first, and only an address
// that is one of libcuda's hooked functions is replaced. May run before any constructor of the
// process. Locking: none.
#include <dlfcn.h>

#include "interpose/linkage.h"
#include "interpose/real_dlsym.h"

namespace vhbm::interpose {
namespace {

// All names of the driver API begin like this; almost none of anybody else's do.
bool may_be_the_drivers(const char* name) {
  return name != nullptr && name[0] == 'c' && name[1] == 'u' && name[2] >= 'A' && name[2] <= 'Z';
}

// For RTLD_NEXT and RTLD_DEFAULT the answer depends on who asks. What they find by searching is our
// own export, or that of a library which the caller's place in the order entitles it to.
bool depends_on_caller(void* handle) {
  return handle == RTLD_NEXT || handle == RTLD_DEFAULT;
}

void* replaced(void* function) {
  if (function == nullptr) return nullptr;
  const Linkage* linked = linkage();
  // Looking for the driver may have left a message that is not the caller's.
  dlerror();
  return linked == nullptr ? function : linked->hook_or(function);
}

void* hooked_dlsym(void* handle, const char* name) {
  return replaced(real_dlsym()(handle, name));
}

void* hooked_dlvsym(void* handle, const char* name, const char* version) {
  return replaced(real_dlvsym()(handle, name, version));
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
  return depends_on_caller(handle) || !may_be_the_drivers(name) ? real : &hooked_dlsym;
}

extern "C" Dlvsym vhbm_dlvsym_target(void* handle, const char* name) {
  const Dlvsym real = real_dlvsym();
  if (real == nullptr) return &no_dlvsym;
  return depends_on_caller(handle) || !may_be_the_drivers(name) ? real : &hooked_dlvsym;
}
