// What the simulated driver reads from a module image: an ELF shared object that exports one
// `simgpu_module` table. Plain C layouts, so that any compiler can make one; kernel.h does it for
// C++.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SIMGPU_MODULE_ABI 2u
#define SIMGPU_MODULE_SYMBOL "simgpu_module"
#define SIMGPU_GLOBALS_SYMBOL "simgpu_globals"

typedef struct SimgpuDim3 {
  uint32_t x, y, z;
} SimgpuDim3;

// One block to run. `yield` is called by a kernel that spins on memory another kernel or the host
// writes: it lets the others run, and does not return once the device is lost or the process ends.
typedef struct SimgpuBlock {
  SimgpuDim3 grid, block, index;
  unsigned char* dynamic_shared;  // as many bytes as the launch asked for, 16-byte aligned
  void (*yield)(void);
  // Says that the kernel reads or writes this memory, for what that costs; null where nobody asks.
  void (*traffic)(const void* address, uint64_t bytes, int writes);
} SimgpuBlock;

// Offset and size in bytes of one parameter in the launch's parameter buffer.
typedef struct SimgpuParam {
  uint32_t offset, size;
} SimgpuParam;

typedef struct SimgpuKernel {
  const char* name;
  void (*run_block)(const SimgpuBlock* block, const void* parameters);  // all threads of one block
  const SimgpuParam* parameters;
  uint32_t parameter_count;
} SimgpuKernel;

typedef struct SimgpuModule {
  uint32_t abi;  // SIMGPU_MODULE_ABI
  uint32_t kernel_count;
  const SimgpuKernel* kernels;
} SimgpuModule;

// A __device__ or __constant__ variable.
typedef struct SimgpuGlobal {
  const char* name;
  void* address;
  uint64_t size;
} SimgpuGlobal;

// Optional, under SIMGPU_GLOBALS_SYMBOL: the variables a program may look up by name.
typedef struct SimgpuGlobals {
  uint32_t count;
  const SimgpuGlobal* globals;
} SimgpuGlobals;

#ifdef __cplusplus
}
#endif
