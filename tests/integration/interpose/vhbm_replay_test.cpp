// A program that reads layers in a cycle, recorded from its start and played again.
#include "watched_program.h"

namespace {

// Layers that are read in a cycle, in half of the HBM that they take, from the program's start.
TEST(Replayed, AProgramFromItsStartUnderItsOwnPolicyAndOthers) {
  const std::string trace = state + ".layers", page = trace + ".html", line = trace + ".json";
  std::filesystem::remove(trace);
  const std::string environment =
      "env VHBM_HBM_LIMIT=36MiB VHBM_HOST_LIMIT=128MiB VHBM_FLIP_SIZE=2MiB VHBM_POLICY=next_use "
      "VHBM_PAGER_INTERVAL=1ms ";
  const CommandResult made =
      shell(environment + tool + "record -o " + trace + " --timeline " + line + " -- " + LAYERS +
            " --layers 16 --layer-mib 4 --rounds 60 --wait --stride 4096 --blocks 1 2>&1");
  ASSERT_EQ(made.exit_code, 0) << made.output;
  EXPECT_NE(made.output.find("vhbm: recorded into " + trace + ": "), std::string::npos)
      << made.output;
  EXPECT_TRUE(parsed([&] {
                std::ifstream in(line);
                return std::string(std::istreambuf_iterator<char>(in), {});
              }())["traceEvents"]
                  .is_array());
  const std::string replay = tool + "replay " + trace + " --link 2 --hbm-rate 16 ";
  const std::string first = shell(replay + "--json").output;
  const Json own = parsed(first);
  ASSERT_TRUE(own.is_object()) << first;
  EXPECT_EQ(own["whole"], true);
  EXPECT_EQ(own["regions"], 16);
  // 60 passes; and each layer was filled once.
  EXPECT_EQ(own["uses"], 16 * 61);
  const Json& size = own["sizes"][0];
  EXPECT_EQ(size["recorded"]["policy"], "next_use");
  const auto misses = [](const Json& row) { return row["misses"].get<std::uint64_t>(); };
  const std::uint64_t least = misses(size["belady"]);
  EXPECT_GT(least, 0u);
  for (const auto& [policy, row] : size["policies"].items()) {
    EXPECT_GE(misses(row), least) << policy;
    EXPECT_LT(misses(row), 3 * least) << policy;
  }
  EXPECT_LT(misses(size["recorded"]), 3 * least);
  EXPECT_GT(size["recorded"]["foreseen_percent"], 80);
  EXPECT_EQ(shell(replay + "--json").output, first) << "the same trace, another answer";

  const CommandResult text =
      shell(replay + "--hbm 50%,75%,100% --policy lru --html " + page + " 2>&1");
  EXPECT_EQ(text.exit_code, 0) << text.output;
  for (const char* word : {"32.0 MiB for chunks, 50%", "48.0 MiB for chunks, 75%",
                           "64.0 MiB for chunks, 100%", "x BELADY", "lru on demand"}) {
    EXPECT_NE(text.output.find(word), std::string::npos) << word << "\n" << text.output;
  }
  EXPECT_GT(std::filesystem::file_size(page), 10'000u);
  for (const char* wrong : {"--hbm much", "--set stall_limit=200%", "--set colour=blue"}) {
    EXPECT_EQ(shell(replay + wrong + " 2>&1").exit_code, 64) << wrong;
  }
  EXPECT_EQ(shell(replay + "--html /nowhere/page.html 2>&1").exit_code, 1);
  for (const std::string& file : {trace, page, line}) std::filesystem::remove(file);
  std::filesystem::remove_all(state);
}

}  // namespace
