// What the benchmark launches: kernels that do nothing, so that only the launch is measured.
#include "kernels.h"
#include "simgpu/kernel.h"

GPU_KERNEL few_parameters(const float*, const float*, float*, unsigned) {}
GPU_KERNEL many_parameters(FourKibibytes) {}

GPU_MODULE(GPU_ENTRY(few_parameters), GPU_ENTRY(many_parameters))
