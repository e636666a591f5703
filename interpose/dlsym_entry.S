// The exported dlsym and dlvsym. Each asks C++ which function answers this call and jumps there, so
// that the real one sees the application's return address: RTLD_NEXT and RTLD_DEFAULT keep their
// meaning. In every version that programs were ever linked against.

#if defined(__x86_64__)

  .macro RESOLVER name, target
  .globl vhbm_\name
  .type vhbm_\name, @function
vhbm_\name:
  .cfi_startproc
  endbr64
  push %rdi
  .cfi_adjust_cfa_offset 8
  push %rsi
  .cfi_adjust_cfa_offset 8
  push %rdx
  .cfi_adjust_cfa_offset 8
  call \target
  pop %rdx
  .cfi_adjust_cfa_offset -8
  pop %rsi
  .cfi_adjust_cfa_offset -8
  pop %rdi
  .cfi_adjust_cfa_offset -8
  jmp *%rax
  .cfi_endproc
  .size vhbm_\name, . - vhbm_\name
  .endm

#elif defined(__aarch64__)

  .macro RESOLVER name, target
  .globl vhbm_\name
  .type vhbm_\name, %function
vhbm_\name:
  .cfi_startproc
  hint #34
  stp x29, x30, [sp, #-48]!
  .cfi_def_cfa_offset 48
  .cfi_offset 29, -48
  .cfi_offset 30, -40
  stp x0, x1, [sp, #16]
  str x2, [sp, #32]
  bl \target
  mov x16, x0
  ldr x2, [sp, #32]
  ldp x0, x1, [sp, #16]
  ldp x29, x30, [sp], #48
  .cfi_restore 29
  .cfi_restore 30
  .cfi_def_cfa_offset 0
  br x16
  .cfi_endproc
  .size vhbm_\name, . - vhbm_\name
  .endm

#else
#error "dlsym_entry.S knows x86-64 and aarch64"
#endif

  .hidden vhbm_dlsym_target
  .hidden vhbm_dlvsym_target
  .text
  RESOLVER dlsym, vhbm_dlsym_target
  RESOLVER dlvsym, vhbm_dlvsym_target

  .globl vhbm_dlsym_oldest, vhbm_dlvsym_oldest
  .set vhbm_dlsym_oldest, vhbm_dlsym
  .set vhbm_dlvsym_oldest, vhbm_dlvsym
  .symver vhbm_dlsym, dlsym@@GLIBC_2.34
  .symver vhbm_dlvsym, dlvsym@@GLIBC_2.34
#if defined(__x86_64__)
  .symver vhbm_dlsym_oldest, dlsym@GLIBC_2.2.5
  .symver vhbm_dlvsym_oldest, dlvsym@GLIBC_2.2.5
#else
  .symver vhbm_dlsym_oldest, dlsym@GLIBC_2.17
  .symver vhbm_dlvsym_oldest, dlvsym@GLIBC_2.17
#endif
  .section .note.GNU-stack, "", %progbits
