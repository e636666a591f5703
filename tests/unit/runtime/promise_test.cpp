// weights_are_readonly: weights come to HBM while kernels run, and a promise that was not kept is
// found out.

#include "two_regions.h"

namespace vhbm {
namespace {

class Promises : public TwoRegions {
 protected:
  static Options promising() {
    Options made = options(16, 64);
    made.weights_are_readonly = true;
    return made;
  }
  // `rules` say what is weights.
  void make_pressure(Options options, std::vector<TagRule> rules = {all_weights}) {
    options.tag_rules = std::move(rules);
    TwoRegions::make_pressure(options);
  }
  void use_for_a_while(DeviceAddress region) {
    (void)eventually(
        [&] {
          runtime_->named(region);
          return false;
        },
        std::chrono::milliseconds(30));
  }
  // To all of `second_`, of which part was copied to HBM and waits for a flip that cannot happen.
  void write_to_what_was_copied_ahead(const std::function<void(CUstream, CUdeviceptr)>& write) {
    EXPECT_TRUE(bring(second_));
    EXPECT_TRUE(bring(first_));
    CUstream writer = nullptr;
    ASSERT_CUDA(cuStreamCreate(&writer, CU_STREAM_NON_BLOCKING));
    runtime_->stream_created(context_, writer);
    Blockade blockade(stream_);
    const std::uint64_t before = stat(Stat::flips_abandoned_deadline);
    EXPECT_TRUE(use_until(second_, [&] { return stat(Stat::flips_abandoned_deadline) > before; }));
    {
      const auto pass = runtime_->gate().pass();
      write(writer, second_.value);
      EXPECT_CUDA(cuStreamSynchronize(writer));
    }
    runtime_->stream_destroyed(writer);
    EXPECT_CUDA(cuStreamDestroy(writer));
  }
  void all_bytes_are_right() {
    EXPECT_TRUE(holds(first_, mib(12), 1));
    EXPECT_TRUE(holds(second_, mib(12), 2));
  }

  static constexpr TagRule all_weights{{0}, {UINT64_MAX}, Tag::weights, false};
};

TEST_F(Promises, LetWeightsComeWhileKernelsRun) {
  make_pressure(promising());
  EXPECT_TRUE(go_back_and_forth());
  EXPECT_GT(stat(Stat::arrived_ahead_bytes), 0u);
  EXPECT_LE(stat(Stat::arrived_ahead_bytes), stat(Stat::promoted_bytes));
  EXPECT_EQ(stat(Stat::promises_broken), 0u);
  EXPECT_GT(stat(Stat::clean_evicted_bytes), 0u) << "what was checked leaves again by remapping";
  EXPECT_LE(stat_bytes(Stat::peak_hbm_bytes), mib(16));
  all_bytes_are_right();
}

TEST_F(Promises, AreAboutWeightsAlone) {
  make_pressure(promising(), {{{0}, {UINT64_MAX}, Tag::kv, false}});
  EXPECT_TRUE(go_back_and_forth());
  EXPECT_EQ(stat(Stat::arrived_ahead_bytes), 0u);
  all_bytes_are_right();
}

TEST_F(Promises, AreNotPresumed) {
  Options options = promising();
  options.weights_are_readonly = false;
  make_pressure(options);
  EXPECT_TRUE(go_back_and_forth());
  EXPECT_EQ(stat(Stat::arrived_ahead_bytes), 0u);
  all_bytes_are_right();
}

// As a server that loads other weights into the same memory.
TEST_F(Promises, HoldNothingAgainstTheApplicationsOwnCopies) {
  make_pressure(promising());
  for (std::uint32_t seed = 3; seed < 40; ++seed) {
    const DeviceAddress next = seed % 2 == 0 ? first_ : second_;
    use_for_a_while(next);
    fill(next, mib(12), seed);
    EXPECT_TRUE(holds(next, mib(12), seed));
  }
  EXPECT_GT(stat(Stat::promoted_bytes), 0u);
  EXPECT_EQ(stat(Stat::promises_broken), 0u);
}

TEST_F(Promises, ThatAreBrokenAreFoundOutAndTheBytesBroughtBack) {
  make_pressure(promising());
  // As a kernel does: nobody is told what it writes to.
  write_to_what_was_copied_ahead([](CUstream writer, CUdeviceptr to) {
    EXPECT_CUDA(cuMemsetD8Async(to, 0x5a, mib(12).value, writer));
  });
  EXPECT_TRUE(use_until(second_, [&] { return stat(Stat::promises_broken) > 0; }));
  const std::vector<unsigned char> expected(mib(12).value, 0x5a);
  std::vector<unsigned char> seen(expected.size());
  EXPECT_TRUE(eventually([&] {
    const auto pass = runtime_->gate().pass();
    EXPECT_CUDA(cuMemcpyDtoHAsync(seen.data(), second_.value, seen.size(), stream_));
    EXPECT_CUDA(cuStreamSynchronize(stream_));
    return seen == expected;
  }));
  // From now on all of it is copied behind the gate.
  const std::uint64_t ahead = stat(Stat::arrived_ahead_bytes);
  const std::uint64_t promoted = stat(Stat::promoted_bytes);
  EXPECT_TRUE(eventually([&] {
    use_for_a_while(second_);
    use_for_a_while(first_);
    return stat(Stat::promoted_bytes) > promoted;
  }));
  EXPECT_EQ(stat(Stat::arrived_ahead_bytes), ahead);
  EXPECT_TRUE(holds(first_, mib(12), 1));
}

TEST_F(Promises, AreNotBrokenByACopyThatComesInBetween) {
  make_pressure(promising());
  std::vector<unsigned char> bytes(mib(12).value, 0x5a);
  write_to_what_was_copied_ahead([&](CUstream writer, CUdeviceptr to) {
    runtime_->touched({to}, mib(12), Access::written);
    EXPECT_CUDA(cuMemcpyHtoDAsync(to, bytes.data(), bytes.size(), writer));
  });
  const std::uint64_t before = stat(Stat::promoted_bytes);
  EXPECT_TRUE(use_until(second_, [&] { return stat(Stat::promoted_bytes) > before; }));
  EXPECT_EQ(stat(Stat::promises_broken), 0u);
  std::vector<unsigned char> seen(bytes.size());
  const auto pass = runtime_->gate().pass();
  EXPECT_CUDA(cuMemcpyDtoH(seen.data(), second_.value, seen.size()));
  EXPECT_TRUE(seen == bytes);
}

TEST_F(Promises, GiveWayToAllocationsAndGoWithTheirRegion) {
  make_pressure(promising());
  for (int i = 0; i < 20; ++i) {
    use_for_a_while(i % 2 == 0 ? first_ : second_);
    const DeviceAddress third = allocate(mib(4));
    fill(third, mib(4), 3);
    EXPECT_TRUE(holds(third, mib(4), 3));
    ASSERT_TRUE(runtime_->free(third).ok());
  }
  EXPECT_GT(stat(Stat::arrived_ahead_bytes), 0u);
  all_bytes_are_right();
  ASSERT_TRUE(runtime_->free(first_).ok());
  ASSERT_TRUE(runtime_->free(second_).ok());
  EXPECT_EQ(stat(Stat::clean_copy_bytes), 0u);
  EXPECT_EQ(stat(Stat::resident_bytes) + stat(Stat::host_mapped_bytes), 0u);
}

}  // namespace
}  // namespace vhbm
