// The door: nothing happens before the program initialises CUDA.
#include "interpose/hook_table.h"
#include "interpose/process.h"

using namespace vhbm::interpose;

extern "C" CUresult cuInit(unsigned int flags) {
  if (real().cuInit == nullptr) return kNoDriver;
  const CUresult result = real().cuInit(flags);
  if (result == CUDA_SUCCESS) Process::instance().driver_initialised();
  return result;
}
