// The functions that hand out functions: dlsym, dlvsym and cuGetProcAddress. The real one is asked
// first, so that versions, flags and the caller's meaning are its own; only an answer that is one of
// libcuda's own hooked functions is replaced by our hook of that very variant.
#include <dlfcn.h>

#include "interpose/hook_table.h"
#include "interpose/resolver.h"

using namespace vhbm::interpose;

namespace {

void* replaced(void* answer, const char* name) noexcept {
  if (answer == nullptr || !is_hooked_name(name)) return answer;
  void* hook = hook_of(answer);
  return hook != nullptr ? hook : answer;
}

void* dlsym_hook(void* handle, const char* name) { return replaced(real_dlsym()(handle, name), name); }

void* dlvsym_hook(void* handle, const char* name, const char* version) {
  return replaced(real_dlvsym()(handle, name, version), name);
}

// RTLD_NEXT and RTLD_DEFAULT mean something relative to the caller, which the C library knows by the
// return address; so these go there by a jump. The order of libraries already answers with our hooks.
bool is_relative(void* handle) { return handle == RTLD_NEXT || handle == RTLD_DEFAULT; }

}  // namespace

extern "C" {

__attribute__((used, visibility("hidden"))) void* vhbm_dlsym_target(void* handle) {
  return is_relative(handle) ? reinterpret_cast<void*>(real_dlsym())
                             : reinterpret_cast<void*>(&dlsym_hook);
}
__attribute__((used, visibility("hidden"))) void* vhbm_dlvsym_target(void* handle) {
  return is_relative(handle) ? reinterpret_cast<void*>(real_dlvsym())
                             : reinterpret_cast<void*>(&dlvsym_hook);
}

CUresult cuGetProcAddress(const char* name, void** out, int version, cuuint64_t flags) {
  if (real().cuGetProcAddress == nullptr) return kNoDriver;
  const CUresult result = real().cuGetProcAddress(name, out, version, flags);
  if (result == CUDA_SUCCESS && out != nullptr) {
    if (void* hook = hook_of(*out)) *out = hook;
  }
  return result;
}

CUresult cuGetProcAddress_v2(const char* name, void** out, int version, cuuint64_t flags,
                             CUdriverProcAddressQueryResult* status) {
  if (real().cuGetProcAddress_v2 == nullptr) return kNoDriver;
  const CUresult result = real().cuGetProcAddress_v2(name, out, version, flags, status);
  if (result == CUDA_SUCCESS && out != nullptr) {
    if (void* hook = hook_of(*out)) *out = hook;
  }
  return result;
}
}

// dlsym and dlvsym themselves: ask for the target, keep the arguments and the return address, jump.
// Exported under both versions that programs may have been linked against.
#if defined(__x86_64__)
#define TRAMPOLINE(name)                                                            \
  __asm__(".text\n.p2align 4\n.type vhbm_" #name ", @function\nvhbm_" #name ":\n"   \
          "  .cfi_startproc\n"                                                      \
          "  endbr64\n"                                                             \
          "  push %rdi\n  .cfi_adjust_cfa_offset 8\n"                               \
          "  push %rsi\n  .cfi_adjust_cfa_offset 8\n"                               \
          "  push %rdx\n  .cfi_adjust_cfa_offset 8\n"                               \
          "  call vhbm_" #name "_target\n"                                          \
          "  pop %rdx\n  .cfi_adjust_cfa_offset -8\n"                               \
          "  pop %rsi\n  .cfi_adjust_cfa_offset -8\n"                               \
          "  pop %rdi\n  .cfi_adjust_cfa_offset -8\n"                               \
          "  jmp *%rax\n"                                                           \
          "  .cfi_endproc\n.size vhbm_" #name ", . - vhbm_" #name "\n"              \
          ".globl vhbm_" #name "_old\n.set vhbm_" #name "_old, vhbm_" #name "\n"    \
          ".globl vhbm_" #name "_new\n.set vhbm_" #name "_new, vhbm_" #name "\n"    \
          ".symver vhbm_" #name "_old, " #name "@GLIBC_2.2.5\n"                     \
          ".symver vhbm_" #name "_new, " #name "@@GLIBC_2.34\n");
#elif defined(__aarch64__)
#define TRAMPOLINE(name)                                                            \
  __asm__(".text\n.p2align 4\n.type vhbm_" #name ", @function\nvhbm_" #name ":\n"   \
          "  .cfi_startproc\n"                                                      \
          "  stp x29, x30, [sp, #-48]!\n"                                           \
          "  stp x0, x1, [sp, #16]\n  str x2, [sp, #32]\n"                          \
          "  bl vhbm_" #name "_target\n  mov x16, x0\n"                             \
          "  ldr x2, [sp, #32]\n  ldp x0, x1, [sp, #16]\n"                          \
          "  ldp x29, x30, [sp], #48\n  br x16\n"                                   \
          "  .cfi_endproc\n.size vhbm_" #name ", . - vhbm_" #name "\n"              \
          ".globl vhbm_" #name "_old\n.set vhbm_" #name "_old, vhbm_" #name "\n"    \
          ".globl vhbm_" #name "_new\n.set vhbm_" #name "_new, vhbm_" #name "\n"    \
          ".symver vhbm_" #name "_old, " #name "@GLIBC_2.17\n"                      \
          ".symver vhbm_" #name "_new, " #name "@@GLIBC_2.34\n");
#endif
TRAMPOLINE(dlsym)
TRAMPOLINE(dlvsym)
