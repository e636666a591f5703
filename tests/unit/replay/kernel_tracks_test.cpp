// Which kernels lie on which track, and what they are called.
#include "replay/kernel_tracks.h"

#include <gtest/gtest.h>

namespace vhbm::replay {
namespace {

Recorded with(const std::vector<recording::kernel>& kernels) {
  Recorded made;
  for (const recording::kernel& one : kernels) made.records.push_back({{}, one});
  return made;
}

TEST(KernelTracks, AreOneAStream) {
  const Recorded recorded = with({{"b", 13, 50, 60}, {"a", 7, 10, 50}, {"c", 7, 50, 90}});
  const KernelTracks made = kernel_tracks(recorded);
  EXPECT_EQ(made.names, (std::vector<std::string>{"stream 7", "stream 13"}));
  ASSERT_EQ(made.slices.size(), 3u);
  EXPECT_EQ(made.slices[0].kernel->name, "a");
  EXPECT_EQ(made.slices[0].track, 0u);
  EXPECT_EQ(made.slices[1].kernel->name, "b");
  EXPECT_EQ(made.slices[1].track, 1u);
  EXPECT_EQ(made.slices[2].track, 0u);
}

TEST(KernelTracks, AreMoreWhereAStreamsKernelsOverlap) {
  const Recorded recorded = with({{"a", 7, 10, 100},
                                  {"b", 7, 20, 30},
                                  {"c", 7, 25, 40},
                                  {"d", 7, 30, 35},
                                  {"e", 7, 100, 110}});
  const KernelTracks made = kernel_tracks(recorded);
  EXPECT_EQ(made.names, (std::vector<std::string>{"stream 7", "stream 7, beside it: 1",
                                                  "stream 7, beside it: 2"}));
  std::vector<std::uint64_t> free_at(made.names.size());
  for (const KernelTracks::Slice& slice : made.slices) {
    EXPECT_GE(slice.kernel->begin, free_at[slice.track]) << slice.kernel->name;
    free_at[slice.track] = slice.kernel->end;
  }
  EXPECT_EQ(made.slices.back().track, 0u);
}

TEST(KernelTracks, NameTheContextWhereItIsNotTheFirst) {
  const Recorded recorded = with({{"a", 7, 1, 2}, {"b", std::uint64_t{2} << 32 | 7, 3, 4}});
  EXPECT_EQ(kernel_tracks(recorded).names,
            (std::vector<std::string>{"stream 7", "stream 7 of context 3"}));
}

TEST(KernelTracks, PassOverWhatEndsBeforeItBegins) {
  const Recorded recorded = with({{"a", 7, 5, 2}});
  EXPECT_TRUE(kernel_tracks(recorded).slices.empty());
}

TEST(KernelNames, AreShortAndReadable) {
  const std::pair<const char*, const char*> names[] = {
      {"_ZN2nn7softmaxILi4EEEvPf", "nn::softmax"},
      {"_Z10vector_addPfPKfS1_i", "vector_add"},
      // void (anonymous namespace)::scale<float>(float*)
      {"_ZN12_GLOBAL__N_15scaleIfEEvPT_", "(anonymous namespace)::scale"},
      // void nn::Block<int>::run<2>(int)
      {"_ZN2nn5BlockIiE3runILi2EEEvi", "nn::Block<int>::run"},
      {"triton_poi_fused_add_0", "triton_poi_fused_add_0"},
      {"vector_add", "vector_add"},
      {"gemm<\"float\">", "gemm<\"float\">"},
      {"", ""},
  };
  for (const auto& [told, short_one] : names) EXPECT_EQ(short_name(told), short_one) << told;
}

}  // namespace
}  // namespace vhbm::replay
