// One source, two GPUs: a kernel written with these macros is CUDA C++ under nvcc, and under a host
// compiler becomes a module that the simulated driver loads.
//
// The unit of host execution is the block: code between barriers stands in GPU_THREADS { … }, a
// loop over the block's threads on the host and nothing at all on a GPU. So
//   - what must survive a GPU_BARRIER() lives in GPU_SHARED arrays, not in locals of GPU_THREADS;
//   - `continue` ends a thread's part of a phase; `return` inside GPU_THREADS is not allowed;
//   - GPU_BARRIER() stands between GPU_THREADS phases, never inside one.
//
//   GPU_KERNEL add_one(float* data, int n) {
//     GPU_THREADS {
//       int i = blockIdx.x * blockDim.x + threadIdx.x;
//       if (i < n) data[i] += 1;
//     }
//   }
//   GPU_MODULE(GPU_ENTRY(add_one))
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __CUDACC__

#define GPU_KERNEL extern "C" __global__ void
#define GPU_FUNCTION static __device__ __forceinline__
#define GPU_GLOBAL extern "C" __device__
#define GPU_SHARED __shared__
#define GPU_BARRIER() __syncthreads()
#define GPU_THREADS for (bool gpu_once = true; gpu_once; gpu_once = false)
#define GPU_DYNAMIC_SHARED(type, name)                         \
  extern __shared__ __align__(16) unsigned char gpu_dynamic[]; \
  type* name = reinterpret_cast<type*>(gpu_dynamic)
#define GPU_MODULE(...)
#define GPU_GLOBALS(...)

namespace gpu {
template <typename T>
static __device__ __forceinline__ T atomic_add(T* where, T value) {
  return atomicAdd(where, value);
}
template <typename T>
static __device__ __forceinline__ T load(const T* where) {
  return *const_cast<const volatile T*>(where);
}
template <typename T>
static __device__ __forceinline__ void store(T* where, T value) {
  __threadfence_system();
  *const_cast<volatile T*>(where) = value;
}
static __device__ __forceinline__ void yield() {
  __nanosleep(200);
}
static __device__ __forceinline__ void reads(const void*, size_t) {}
static __device__ __forceinline__ void writes(const void*, size_t) {}
static __device__ __forceinline__ bool priced() {
  return false;
}
}  // namespace gpu

#else  // a host compiler: a module for the simulated driver

#include <array>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include "simgpu/module_abi.h"

#define GPU_KERNEL static void
#define GPU_FUNCTION static inline
#define GPU_GLOBAL static
#define GPU_SHARED
#define GPU_BARRIER() ((void)0)
#define GPU_THREADS                                                                       \
  for (SimgpuDim3 threadIdx{0, 0, 0}; threadIdx.z < blockDim.z;                           \
       ++threadIdx.x == blockDim.x && ((threadIdx.x = 0, ++threadIdx.y) == blockDim.y) && \
       (threadIdx.y = 0, ++threadIdx.z))
#define GPU_DYNAMIC_SHARED(type, name) \
  type* name = reinterpret_cast<type*>(simgpu::current_block->dynamic_shared)

namespace simgpu {

// The block that this thread runs; the CUDA built-ins below read it.
static thread_local const SimgpuBlock* current_block = nullptr;

// Parameter offsets as nvcc lays them out: each at its natural alignment, in order.
template <typename... Args>
struct Parameters {
  static constexpr size_t count = sizeof...(Args);

  static constexpr std::array<SimgpuParam, count + 1> layout() {
    std::array<SimgpuParam, count + 1> table{};
    constexpr size_t sizes[] = {sizeof(Args)..., 0};
    constexpr size_t aligns[] = {alignof(Args)..., 1};
    size_t offset = 0;
    for (size_t i = 0; i < count; ++i) {
      offset = (offset + aligns[i] - 1) / aligns[i] * aligns[i];
      table[i] = {static_cast<uint32_t>(offset), static_cast<uint32_t>(sizes[i])};
      offset += sizes[i];
    }
    return table;
  }
  static constexpr std::array<SimgpuParam, count + 1> table = layout();

  template <typename T>
  static T read(const void* parameters, size_t index) {
    T value;
    std::memcpy(&value, static_cast<const char*>(parameters) + table[index].offset, sizeof(T));
    return value;
  }
  template <auto kernel, size_t... index>
  static void call([[maybe_unused]] const void* parameters, std::index_sequence<index...>) {
    kernel(read<Args>(parameters, index)...);
  }
};

template <typename F>
struct ParametersOf;
template <typename... Args>
struct ParametersOf<void (*)(Args...)> : Parameters<std::remove_cv_t<Args>...> {};

template <auto kernel>
void run_block(const SimgpuBlock* block, const void* parameters) {
  using P = ParametersOf<decltype(kernel)>;
  current_block = block;
  P::template call<kernel>(parameters, std::make_index_sequence<P::count>{});
}

}  // namespace simgpu

#define blockIdx (simgpu::current_block->index)
#define blockDim (simgpu::current_block->block)
#define gridDim (simgpu::current_block->grid)

namespace gpu {
template <typename T>
static inline T atomic_add(T* where, T value) {
  if constexpr (std::is_integral_v<T>) {
    return __atomic_fetch_add(where, value, __ATOMIC_RELAXED);
  } else {
    T old, sum;
    __atomic_load(where, &old, __ATOMIC_RELAXED);
    do {
      sum = old + value;
    } while (
        !__atomic_compare_exchange(where, &old, &sum, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return old;
  }
}
template <typename T>
static inline T load(const T* where) {
  T value;
  __atomic_load(where, &value, __ATOMIC_ACQUIRE);
  return value;
}
template <typename T>
static inline void store(T* where, T value) {
  __atomic_store(where, &value, __ATOMIC_RELEASE);
}
static inline void yield() {
  simgpu::current_block->yield();
}
// cudaGraphSetConditional, of a handle that cuGraphConditionalHandleCreate gave. On a GPU the
// device runtime has it, which modules made by add_gpu_kernels are not linked with: guard its uses
// by
// `#ifndef __CUDACC__`.
static inline void set_conditional(uint64_t handle, unsigned value) {
  __atomic_store_n(reinterpret_cast<unsigned*>(handle), value, __ATOMIC_RELEASE);
}
// Declares memory that is read or written, for a device profile to price; each byte once a kernel,
// from whichever block, outside GPU_THREADS. Nothing at all on a GPU.
static inline void reads(const void* address, size_t bytes) {
  const SimgpuBlock& block = *simgpu::current_block;
  if (block.traffic != nullptr) block.traffic(address, bytes, 0);
}
static inline void writes(const void* address, size_t bytes) {
  const SimgpuBlock& block = *simgpu::current_block;
  if (block.traffic != nullptr) block.traffic(address, bytes, 1);
}
// Whether anybody asks; where it takes work to find out what to declare.
static inline bool priced() {
  return simgpu::current_block->traffic != nullptr;
}
}  // namespace gpu

#define GPU_ENTRY(kernel)                                                        \
  SimgpuKernel {                                                                 \
#kernel, &simgpu::run_block < &kernel>,                                      \
        simgpu::ParametersOf < decltype(&kernel)> ::table.data(),                \
        static_cast < uint32_t>(simgpu::ParametersOf <decltype(&kernel)>::count) \
  }
#define GPU_MODULE(...)                                                                  \
  static const SimgpuKernel simgpu_kernels[] = {__VA_ARGS__};                            \
  extern "C" __attribute__((visibility("default"))) const SimgpuModule simgpu_module = { \
      SIMGPU_MODULE_ABI, sizeof(simgpu_kernels) / sizeof(simgpu_kernels[0]), simgpu_kernels};

// Variables that the program looks up by name: GPU_GLOBAL int counter;
// GPU_GLOBALS(GPU_VARIABLE(counter))
#define GPU_VARIABLE(name)            \
  SimgpuGlobal {                      \
#name, (void*)&name, sizeof(name) \
  }
#define GPU_GLOBALS(...)                                                                   \
  static const SimgpuGlobal simgpu_globals_table[] = {__VA_ARGS__};                        \
  extern "C" __attribute__((visibility("default"))) const SimgpuGlobals simgpu_globals = { \
      sizeof(simgpu_globals_table) / sizeof(simgpu_globals_table[0]), simgpu_globals_table};
#endif
