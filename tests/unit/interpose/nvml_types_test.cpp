// The structures of NVML that are declared here, against the simulated library's own declaration of
// them, and against nvml.h where the toolkit has it.
#include "interpose/nvml_types.h"

#include <gtest/gtest.h>

#include <cstddef>

#if __has_include(<nvml.h>)
#include <nvml.h>
#else
#include "simgpu/nvml.h"
#endif

namespace vhbm::interpose {
namespace {

TEST(NvmlTypes, LieWhereTheLibraryHasThem) {
#define SAME(ours, our_member, theirs, their_member) \
  EXPECT_EQ(offsetof(ours, our_member), offsetof(theirs, their_member)) << #ours "::" #our_member
  EXPECT_EQ(sizeof(NvmlMemory), sizeof(nvmlMemory_t));
  SAME(NvmlMemory, total, nvmlMemory_t, total);
  SAME(NvmlMemory, free, nvmlMemory_t, free);
  SAME(NvmlMemory, used, nvmlMemory_t, used);
  EXPECT_EQ(nvml_memory_v2, nvmlMemory_v2);
  SAME(NvmlMemoryV2, version, nvmlMemory_v2_t, version);
  SAME(NvmlMemoryV2, total, nvmlMemory_v2_t, total);
  SAME(NvmlMemoryV2, reserved, nvmlMemory_v2_t, reserved);
  SAME(NvmlMemoryV2, free, nvmlMemory_v2_t, free);
  SAME(NvmlMemoryV2, used, nvmlMemory_v2_t, used);
  EXPECT_EQ(sizeof(NvmlProcessV1), sizeof(nvmlProcessInfo_v1_t));
  SAME(NvmlProcessV1, pid, nvmlProcessInfo_v1_t, pid);
  SAME(NvmlProcessV1, used_gpu_memory, nvmlProcessInfo_v1_t, usedGpuMemory);
  EXPECT_EQ(sizeof(NvmlProcessV2), sizeof(nvmlProcessInfo_v2_t));
  SAME(NvmlProcessV2, pid, nvmlProcessInfo_v2_t, pid);
  SAME(NvmlProcessV2, used_gpu_memory, nvmlProcessInfo_v2_t, usedGpuMemory);
  SAME(NvmlProcessV2, gpu_instance, nvmlProcessInfo_v2_t, gpuInstanceId);
  SAME(NvmlProcessV2, compute_instance, nvmlProcessInfo_v2_t, computeInstanceId);
#undef SAME
}

// What nvml.h's words come to in bytes, where it is not there to be asked.
TEST(NvmlTypes, HaveTheSizesThatProgramsWereBuiltWith) {
  EXPECT_EQ(sizeof(NvmlMemory), 24u);
  EXPECT_EQ(nvml_memory_v2, 0x02000028u);
  EXPECT_EQ(sizeof(NvmlProcessV1), 16u);
  EXPECT_EQ(sizeof(NvmlProcessV2), 24u);
}

}  // namespace
}  // namespace vhbm::interpose
