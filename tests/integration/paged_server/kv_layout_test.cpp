// The sample server with its KV layout: what is thought in use is what its scheduler used, and its
// output is what it is natively, whatever is looked at while it is pressed hard.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>

namespace {

using Json = nlohmann::json;

const std::string folder = testing::TempDir() + "kv-layout." + std::to_string(getpid());
const std::string server = SAMPLE_SERVER " --experts 64 --kv-tokens 8192 ";
// A sanitizer must come first in the process, and finds its own program's leaks itself.
const std::string sanitizer = *SANITIZER_LIBRARY == 0
                                  ? ""
                                  : "LD_PRELOAD=" SANITIZER_LIBRARY
                                    " ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 ";
constexpr std::uint64_t chunk = 2 << 20, layers = 4, block_bytes = 8192;  // of 16 tokens

class OnServer : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder); }
  void TearDown() override { std::filesystem::remove_all(folder); }

  static std::string content(const std::string& file) {
    std::ifstream stream(folder + "/" + file);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  static Json read(const std::string& file) {
    return Json::parse(std::ifstream(folder + "/" + file), nullptr, false);
  }
  static int shell(const std::string& environment, const std::string& command) {
    return std::system(("env LD_LIBRARY_PATH=" VHBM_LIB_DIR " VHBM_STATE_DIR=" + folder +
                        "/state " + environment + " " + command + " >>" + folder + "/output 2>&1")
                           .c_str());
  }
  // `vhbm kv-layout check` and its arguments, with what it prints in a file.
  static int check(const std::string& arguments, const std::string& file,
                   const std::string& command = "check") {
    const int code = std::system(("env LD_LIBRARY_PATH=" VHBM_LIB_DIR " VHBM_STATE_DIR=" + folder +
                                  "/state " VHBM_COMMAND " kv-layout " + command + " " + arguments +
                                  " >" + folder + "/" + file + " 2>" + folder + "/errors")
                                     .c_str());
    return WEXITSTATUS(code);
  }
  static void skip_without_cudart(const std::string& arguments) {
    if (arguments.find("--api runtime") != std::string::npos &&
        !std::filesystem::exists(SIMULATED_CUDART)) {
      GTEST_SKIP() << "no simulated libcudart at " << SIMULATED_CUDART;
    }
  }
};

class LaidOutServer : public OnServer, public testing::WithParamInterface<const char*> {};
class KvLayoutCommand : public OnServer {};

TEST_P(LaidOutServer, PutsOutTheSameWhileItsBlockTablesAreLookedAt) {
  const std::string arguments = std::string("--requests 24 ") + GetParam();
  skip_without_cudart(arguments);
  if (IsSkipped()) return;
  ASSERT_EQ(shell("", server + arguments + " --json " + folder + "/native.json"), 0)
      << content("output");
  const std::string expected = read("native.json").value("digest", "");
  ASSERT_FALSE(expected.empty());
  std::uint64_t flips = 0;
  for (const char* seed : {"1", "2"}) {
    const std::string vhbm = VHBM_COMMAND
                             " run --hbm-limit 12MiB --set pager_interval=1ms --set stall_limit=90%"
                             " --set quiesce_deadline=50ms --set kv_layouts=sample-server"
                             " --set policy=" +
                             std::string(*seed == '1' ? "lru" : "next_use") + " --summary " +
                             folder + "/summary.json -- ";
    ASSERT_EQ(shell(std::string("SIMGPU_FUZZ=") + seed + ":20 " + sanitizer,
                    vhbm + server + arguments + " --json " + folder + "/paged.json"),
              0)
        << content("output");
    EXPECT_EQ(read("paged.json").value("digest", ""), expected) << "seed " << seed;
    const Json counted = read("summary.json")["stats"];
    EXPECT_EQ(counted.value("frozen", 1), 0);
    EXPECT_GT(counted.value("kv_looks", 0), 10) << "seed " << seed;
    EXPECT_GT(counted.value("kv_entries", 0), 10) << "seed " << seed;
    EXPECT_EQ(counted.value("kv_strays", 1), 0) << "seed " << seed;
    flips += counted.value("flips", std::uint64_t{0});
  }
  EXPECT_GT(flips, 0u) << "nothing moved, so nothing was tried";
}

// The blocks that the server says it used, and how many chunks of a tensor they lie in.
struct Truth {
  std::set<std::uint64_t> blocks;
  std::uint64_t chunks = 0;
};

Truth truth_of(const std::string& log, std::uint64_t stride) {
  Truth truth;
  std::istringstream words(log);
  for (std::istream_iterator<std::uint64_t> next(words), end; next != end; ++next) {
    truth.blocks.insert(*next);
  }
  std::set<std::uint64_t> chunks;
  for (const std::uint64_t block : truth.blocks) {
    for (std::uint64_t at = block * stride; at < (block + 1) * stride; at += block_bytes) {
      chunks.insert(at / chunk);
    }
  }
  truth.chunks = chunks.size();
  return truth;
}

// Three requests, a pause in which is looked what is thought, and another one.
TEST_P(LaidOutServer, IsThoughtToUseTheBlocksThatItsSchedulerUsed) {
  const std::string arguments = GetParam();
  skip_without_cudart(arguments);
  if (IsSkipped()) return;
  {
    std::ofstream trace(folder + "/trace.jsonl");
    for (int i = 0; i < 4; ++i) {
      trace << R"({"timestamp":)" << i / 3 * 6000
            << R"(,"input_length":4096,"output_length":1024,"hash_ids":[)";
      for (int k = 0; k < 8; ++k) trace << (k == 0 ? "" : ",") << 8 * (i % 3) + k;
      trace << "]}\n";
    }
  }
  const std::string vhbm =
      VHBM_COMMAND " run --set pager_interval=1ms --set kv_layouts=sample-server -- ";
  ASSERT_EQ(shell(sanitizer, vhbm + server + arguments + " --trace " + folder +
                                 "/trace.jsonl --replay-speed 1 --kv-log " + folder + "/blocks >>" +
                                 folder + "/output 2>&1 & sleep 4"),
            0);
  EXPECT_EQ(check("sample-server --process sample_server --json", "check.json"), 0)
      << content("output") << content("check.json");
  const Json told = read("check.json");
  const std::string log = content("blocks");
  // A layout of another version, say, of which one kernel has fewer arguments.
  ASSERT_EQ(check("", "mine.toml", "show sample-server"), 0);
  std::string other = content("mine.toml");
  other.replace(other.rfind("5 + 40"), 6, "5 + 56");
  std::ofstream(folder + "/mine.toml") << other;
  EXPECT_EQ(check(folder + "/mine.toml --process sample_server", "text"), 0)
      << "attention_64 is not launched" << content("text");
  while (other.find("5 + 40") != other.npos) other.replace(other.find("5 + 40"), 6, "5 + 56");
  std::ofstream(folder + "/mine.toml") << other;
  EXPECT_EQ(check(folder + "/mine.toml --process sample_server", "text"), 2);
  EXPECT_NE(content("text").find("does not fit: table is at argument 5 + 56 and has 8 bytes, but "
                                 "that parameter has 56 in all"),
            std::string::npos)
      << content("text");
  // It ends once the last request is done.
  for (int i = 0; i < 300 && std::filesystem::is_empty(folder + "/state") == false; ++i) {
    usleep(100'000);
    if (content("output").find("digest") != std::string::npos) break;
  }
  ASSERT_NE(content("output").find("digest"), std::string::npos) << content("output");
  const bool together = arguments.find("cross-layer") != std::string::npos;
  const Truth truth = truth_of(log, together ? layers * block_bytes : block_bytes);
  ASSERT_FALSE(truth.blocks.empty());
  std::uint64_t used = 0, touched = 0, regions = 0, strays = 0;
  for (const Json& cache : told["process"]["caches"]) {
    used += cache.value("used_bytes", std::uint64_t{0});
    touched += cache.value("touched_bytes", std::uint64_t{0});
    strays += cache.value("strays", std::uint64_t{0});
    ++regions;
  }
  EXPECT_EQ(regions, together ? 1 : layers) << told.dump(2);
  EXPECT_EQ(strays, 0u);
  const std::uint64_t all = truth.blocks.size() * layers * block_bytes;
  const std::uint64_t chunks = truth.chunks * chunk * (together ? 1 : layers);
  // Never more; and less only by what was used between two looks.
  EXPECT_LE(used, all) << told.dump(2);
  EXPECT_GE(used * 10, all * 9) << told.dump(2);
  EXPECT_LE(touched, chunks);
  EXPECT_GE(touched * 10, chunks * 9);
}

TEST_F(KvLayoutCommand, ChecksAndExplainsALayout) {
  for (const char* name : {"vllm", "flashinfer", "llama.cpp", "sample-server"}) {
    EXPECT_EQ(check(name, "text"), 0) << name;
    EXPECT_NE(content("text").find("ok"), std::string::npos);
    EXPECT_EQ(check("--json", "list", "list"), 0);
    EXPECT_NE(content("list").find(name), std::string::npos);
    ASSERT_EQ(check(name, "copy.toml", "show"), 0);
    EXPECT_EQ(check(folder + "/copy.toml --json", "json"), 0);
    EXPECT_FALSE(read("json")["kernels"].empty());
  }
  EXPECT_EQ(check("--keys", "text", "show"), 0);
  EXPECT_NE(content("text").find("sequences_at"), std::string::npos);
  EXPECT_EQ(check("nobody", "text", "show"), 64);
  std::ofstream(folder + "/wrong.toml") << "server = \"x\"\n[[kernel]]\nname = 7.5\n";
  EXPECT_EQ(check(folder + "/wrong.toml", "text"), 1);
  EXPECT_NE(content("errors").find("wrong.toml:3: name = 7.5 is not accepted"), std::string::npos)
      << content("errors");
  EXPECT_EQ(check("vllm --process 1", "text"), 1);
  EXPECT_EQ(WEXITSTATUS(
                shell("", VHBM_COMMAND " run --set kv_layouts=" + folder + "/wrong.toml -- true")),
            64);
}

INSTANTIATE_TEST_SUITE_P(Modes, LaidOutServer,
                         testing::Values("--graphs none --kv-layout per-layer",
                                         "--graphs layer --kv-layout cross-layer",
                                         "--graphs step --kv-layout per-layer",
                                         "--graphs none --contiguous --max-running 4",
                                         "--api runtime --graphs step --kv-layout cross-layer"));

}  // namespace
