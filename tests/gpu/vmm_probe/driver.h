// The CUDA driver, found at run time, so that the probe starts, and says why it cannot go on, where
// there is none. Invariant: `cu` is filled once, by load_driver(), before anything else uses it,
// and only in the process that runs a sub-test: the parent never touches the driver.
#pragma once

#include <cuda.h>

#include <stdexcept>
#include <string>

#if CUDA_VERSION < 12050
extern "C" CUresult CUDAAPI cuCtxRecordEvent(CUcontext context, CUevent event);
#endif

namespace vmm_probe {

struct Driver {
#define DRIVER(need, symbol) decltype(&::symbol) symbol = nullptr;
#define DRIVER_NAMED(need, member, symbol) decltype(&::member) member = nullptr;
#include "driver.def"
#undef DRIVER
#undef DRIVER_NAMED
  bool simulated = false;  // a software GPU answers: its figures say nothing about hardware
};

inline Driver cu;

// Empty when `cu` is ready, else why there is no driver to talk to.
std::string load_driver();

// A sub-test cannot go on: something that was expected to work did not.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// There is no driver, or it offers no such device: nothing here can be measured.
struct NoGpu : Failure {
  using Failure::Failure;
};
// A sub-test does not apply to this machine.
struct Skipped : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::string name_of(CUresult result);

// Throws Failure("WHAT: CUDA_ERROR_…") unless the call succeeded.
void must(CUresult result, const std::string& what);

}  // namespace vmm_probe
