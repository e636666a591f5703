#include "banner.h"

#include <gtest/gtest.h>

#include <map>

namespace vhbm::cli {
namespace {

std::string banner_with(const std::map<std::string, std::string>& variables,
                        const std::vector<std::string>& command = {"vllm", "serve"}) {
  const auto options = Options::from_environment([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
  return options.ok() ? banner(command, *options, gib(40)) : options.status().message();
}

TEST(Banner, SaysWhichLimitsHoldAndWhereTheyComeFrom) {
  EXPECT_EQ(banner_with({{"VHBM_HBM_LIMIT", "60GiB"}, {"VHBM_REPORT", "virtual"}}, {"./mine"}),
            "vhbm: a program that is not known, under vHBM\n"
            "vhbm:   hbm_limit  60.0 GiB (VHBM_HBM_LIMIT)\n"
            "vhbm:   host_limit 20.0 GiB, half of what is available now (default)\n"
            "vhbm:   it is told virtual: HBM and host limit together (VHBM_REPORT)\n"
            "vhbm:   watch it   vhbm top\n");
}

TEST(Banner, KnowsSharesAndTheServer) {
  const std::string text = banner_with({{"VHBM_HBM_LIMIT", "75%"}, {"VHBM_HOST_LIMIT", "25%"}});
  for (const char* words :
       {"vhbm: vLLM, under vHBM\n", "hbm_limit  75% of the GPU (VHBM_HBM_LIMIT)\n",
        "host_limit 10.0 GiB, 25% of what is available (VHBM_HOST_LIMIT)\n", "it is told physical",
        "helps      --gpu-memory-utilization"}) {
    EXPECT_NE(text.find(words), std::string::npos) << words << "\n" << text;
  }
}

TEST(Banner, SaysOnlyThatItIsDisabled) {
  EXPECT_EQ(banner_with({{"VHBM_DISABLE", "1"}}),
            "vhbm: vLLM, under vHBM\n"
            "vhbm:   disabled   every call goes to the driver (VHBM_DISABLE)\n");
}

}  // namespace
}  // namespace vhbm::cli
