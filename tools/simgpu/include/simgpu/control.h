// Steering the simulated driver from a test: functions that libcuda.so.1 of simgpu exports beside
// the driver API. Look them up with dlsym; a real driver does not have them.
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

typedef struct SimgpuMemory {  // bytes
  unsigned long long hbm_budget, hbm_used, hbm_peak;
  unsigned long long host_used, host_peak;  // of cuMemCreate(HOST or HOST_NUMA)
} SimgpuMemory;

const char* simgpu_version(void);

// Replaces the fault plan (the grammar of SIMGPU_FAULTS) and restarts its counting; "" ends it. 1
// if the plan was read, else 0 and nothing changes. Only after cuInit.
int simgpu_set_faults(const char* plan);

// How many calls have failed by the plan since it was set.
unsigned long long simgpu_faults_struck(void);

// SEED or SEED:INTENSITY, as SIMGPU_FUZZ; "" stops the fuzzer. 1 if it was read, else 0.
int simgpu_set_fuzz(const char* text);

// With a device profile: the simulated time on the host's clock, in seconds. Else 0.
double simgpu_seconds(void);

// What is allocated on one device now and at most; zeros before cuInit.
void simgpu_memory(int device, SimgpuMemory* out);

typedef struct SimgpuKernelRun {
  const char* name;  // for the time of the call
  unsigned device, context, stream;
  unsigned graph;                 // the instantiated graph's number, or 0
  unsigned long long graph_node;  // its node's, from 1 on
  unsigned grid[3], block[3], shared_bytes;
  long long begin_ns, end_ns;  // of CLOCK_MONOTONIC
} SimgpuKernelRun;
typedef void (*SimgpuKernelListener)(const SimgpuKernelRun* run);

// Has `listener` told of each kernel that completed, before anybody can know that its work did, and
// in the order of its stream, on a thread of the driver's. It must not call the driver. Null ends
// that; a call may be under way. On the real clock a kernel took as long as its costs were slept
// for; else, as long as the simulation was busy with it.
void simgpu_set_kernel_listener(SimgpuKernelListener listener);

#ifdef __cplusplus
}
#endif
