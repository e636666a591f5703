// Beside another preloaded interposer of the same functions, before and after it: both see every
// call once, whichever way the program came to the function. STACKED says which of the two is
// first.
#include <dlfcn.h>

#include <cstdlib>
#include <cstring>

#include "gpu_test.h"

#undef cuMemAlloc
#undef cuMemFree

namespace {

int stacked(const char* counter) {
  const auto count = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, counter));
  return count == nullptr ? -1 : count();
}

using Allocate = decltype(&cuMemAlloc_v2);

Allocate linked() {
  return &cuMemAlloc_v2;
}
Allocate by_dlsym() {
  return reinterpret_cast<Allocate>(
      dlsym(dlopen("libcuda.so.1", RTLD_NOLOAD | RTLD_LAZY), "cuMemAlloc_v2"));
}
Allocate by_proc_address() {
  void* found = nullptr;
  EXPECT_CUDA(cuGetProcAddress_v2("cuMemAlloc", &found, 12000, 0, nullptr));
  return reinterpret_cast<Allocate>(found);
}
// As libcudart does: it looks the getter up, and asks that.
Allocate by_looked_up_proc_address() {
  const auto ask = reinterpret_cast<decltype(&cuGetProcAddress_v2)>(
      dlsym(dlopen("libcuda.so.1", RTLD_NOLOAD | RTLD_LAZY), "cuGetProcAddress_v2"));
  void* found = nullptr;
  EXPECT_CUDA(ask("cuMemAlloc", &found, 12000, 0, nullptr));
  return reinterpret_cast<Allocate>(found);
}

class StackingTest : public GpuTest {
 protected:
  StackingTest() { EXPECT_GE(stacked("stacked_allocations"), 0) << "the other one is not there"; }
  ~StackingTest() override {
    // dlsym of the other one may answer for itself within our hook: once, never in a circle.
    EXPECT_LE(stacked("stacked_deepest"), 2);
    EXPECT_EQ(stat("frozen"), 0u);
  }
  const bool other_is_first_ = std::strcmp(std::getenv("STACKED"), "first") == 0;
};

TEST_F(StackingTest, EveryRouteToAnAllocationLeadsThroughBoth) {
  const std::pair<const char*, Allocate (*)()> routes[] = {
      {"linked", linked},
      {"dlsym", by_dlsym},
      {"cuGetProcAddress", by_proc_address},
      {"cuGetProcAddress by dlsym", by_looked_up_proc_address}};
  for (const auto& [name, route] : routes) {
    const Allocate allocate = route();
    ASSERT_NE(allocate, nullptr) << name;
    CUdeviceptr small = 0, large = 0;
    const int before = stacked("stacked_allocations");
    const std::uint64_t native = stat("native_bytes"), regions = stat("regions");
    ASSERT_CUDA(allocate(&small, 64 << 10)) << name;
    EXPECT_EQ(stacked("stacked_allocations"), before + 1) << name;
    EXPECT_EQ(stat("native_bytes"), native + (64 << 10)) << name;
    // A region is made of frames: there is nothing to be asked of who comes after us.
    ASSERT_CUDA(allocate(&large, 4 * mebibyte)) << name;
    EXPECT_EQ(stacked("stacked_allocations"), before + 1 + (other_is_first_ ? 1 : 0)) << name;
    EXPECT_EQ(stat("regions"), regions + 1) << name;
    EXPECT_CUDA(cuMemFree_v2(small));
    EXPECT_CUDA(cuMemFree_v2(large));
    EXPECT_EQ(stat("native_bytes"), native) << name;
  }
}

TEST_F(StackingTest, ALaunchIsCountedOnceByEach) {
  CUdeviceptr words = 0;
  ASSERT_CUDA(cuMemAlloc_v2(&words, 8 * mebibyte));
  const int before = stacked("stacked_launches");
  fill(words, 8 * mebibyte, 7);
  EXPECT_TRUE(holds(words, 8 * mebibyte, 7));
  add(words, 8 * mebibyte, 1);
  EXPECT_TRUE(holds(words, 8 * mebibyte, 7, 1));
  EXPECT_EQ(stacked("stacked_launches"), before + 2);
  EXPECT_CUDA(cuMemFree_v2(words));
}

TEST_F(StackingTest, MemoryIsPagedAllTheSame) {
  std::vector<CUdeviceptr> memory(3 * hbm_limit / (8 * mebibyte));
  for (std::size_t i = 0; i < memory.size(); ++i) {
    ASSERT_CUDA(cuMemAlloc_v2(&memory[i], 8 * mebibyte));
    fill(memory[i], 8 * mebibyte, static_cast<std::uint32_t>(i));
  }
  EXPECT_GT(stat("host_mapped_bytes"), hbm_limit);
  for (std::size_t i = 0; i < memory.size(); ++i) {
    EXPECT_TRUE(holds(memory[i], 8 * mebibyte, static_cast<std::uint32_t>(i)));
    EXPECT_CUDA(cuMemFree_v2(memory[i]));
  }
  EXPECT_LE(stat("peak_hbm_bytes"), hbm_limit);
}

}  // namespace
