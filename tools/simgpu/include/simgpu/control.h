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

#ifdef __cplusplus
}
#endif
