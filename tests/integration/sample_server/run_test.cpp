// Runs the sample server on the simulated GPU. Its digest is what memory under it is judged by, so
// it must depend on the requests and the model alone; and what it says and returns when it fails is
// what scripts go by.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace {

struct ServerRun {
  int exit_code = -1;
  std::string output;  // both streams
  nlohmann::json report;
};

// `environment` is as before a shell's command: "NAME=value …".
ServerRun run(const std::string& arguments, const std::string& environment = "") {
  ServerRun result;
  const std::string json = testing::TempDir() + "sample_server_" +
                           testing::UnitTest::GetInstance()->current_test_info()->name() + ".json";
  std::remove(json.c_str());
  const std::string command =
      environment + " " + SAMPLE_SERVER + " " + arguments + " --json " + json + " 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  std::array<char, 4096> part{};
  while (const std::size_t got = std::fread(part.data(), 1, part.size(), pipe)) {
    result.output.append(part.data(), got);
  }
  const int status = pclose(pipe);
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  result.report = nlohmann::json::parse(std::ifstream(json), nullptr, false);
  return result;
}

// A few requests of one prefix family, through a model whose tensors are still of several MiB.
const std::string small = "--requests 24 --experts 64 --kv-tokens 8192 ";

std::string digest_of(const std::string& arguments, const std::string& environment = "") {
  const ServerRun result = run(small + arguments, environment);
  EXPECT_EQ(result.exit_code, 0) << result.output;
  return result.exit_code == 0 ? result.report["digest"].get<std::string>() : "";
}

TEST(SampleServer, GivesTheSameDigestAgain) {
  EXPECT_EQ(digest_of(""), digest_of(""));
}

TEST(SampleServer, GivesTheSameDigestInEveryGraphMode) {
  const std::string eager = digest_of("");
  EXPECT_EQ(digest_of("--graphs layer"), eager);
  EXPECT_EQ(digest_of("--graphs step"), eager);
}

TEST(SampleServer, GivesTheSameDigestOverTheRuntimeApi) {
  if (!std::filesystem::exists(SIMULATED_CUDART)) {
    GTEST_SKIP() << "no simulated libcudart at " << SIMULATED_CUDART;
  }
  const std::string driver = digest_of("");
  for (const char* graphs : {"none", "layer", "step"}) {
    EXPECT_EQ(digest_of(std::string("--api runtime --graphs ") + graphs), driver);
  }
}

TEST(SampleServer, GivesTheSameDigestWhereverItsKvLies) {
  const std::string scattered = digest_of("");
  EXPECT_EQ(digest_of("--kv-layout cross-layer"), scattered);
  EXPECT_EQ(digest_of("--block-tokens 64"), scattered);
  EXPECT_EQ(digest_of("--contiguous --max-running 4"), scattered);
}

TEST(SampleServer, GivesTheSameDigestHoweverStepsAreComposed) {
  const std::string usual = digest_of("");
  EXPECT_EQ(digest_of("--max-running 3"), usual);
  EXPECT_EQ(digest_of("--max-step-tokens 40"), usual);
}

TEST(SampleServer, GivesTheSameDigestWhenItMustPreempt) {
  const std::string roomy = digest_of("");
  const ServerRun tight = run("--requests 24 --experts 64 --kv-tokens 1024");
  ASSERT_EQ(tight.exit_code, 0) << tight.output;
  EXPECT_GT(tight.report["preemptions"], 0);
  EXPECT_EQ(tight.report["requests"]["refused"], 0);
  EXPECT_EQ(tight.report["digest"], roomy);
}

TEST(SampleServer, GivesTheSameDigestWhenTheGpuDelaysWork) {
  EXPECT_EQ(digest_of("--graphs layer", "SIMGPU_FUZZ=11"), digest_of(""));
}

TEST(SampleServer, GivesAnotherDigestToOtherWeights) {
  EXPECT_NE(digest_of("--seed 2"), digest_of("--seed 1"));
}

TEST(SampleServer, FillsTheShareOfMemoryItIsTold) {
  const ServerRun result =
      run("--requests 2 --experts 64 --gpu-memory-utilization 0.5", "SIMGPU_HBM=256MiB");
  ASSERT_EQ(result.exit_code, 0) << result.output;
  EXPECT_GT(result.report["allocated_bytes"]["peak"], 120 << 20);
  EXPECT_LE(result.report["allocated_bytes"]["peak"], 128 << 20);
}

TEST(SampleServer, SaysWhatItHadNoMemoryFor) {
  const ServerRun result = run("", "SIMGPU_HBM=128MiB");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.output,
            "sample_server: cuMemAlloc of 33554432 bytes for the KV of layer 1 failed: "
            "CUDA_ERROR_OUT_OF_MEMORY (out of memory)\n");
}

TEST(SampleServer, SaysWhichCallFailed) {
  const ServerRun result = run(small, "SIMGPU_FAULTS=cuLaunchKernel:50=719");
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_NE(result.output.find("cuLaunchKernel failed: CUDA_ERROR_LAUNCH_FAILED"),
            std::string::npos)
      << result.output;
}

TEST(SampleServer, RefusesAWrongCommandLine) {
  EXPECT_EQ(run("--scale-tokens 3").exit_code, 64);
  EXPECT_EQ(run("--block-tokens 17").exit_code, 64);
  EXPECT_EQ(run("--graphs sometimes").exit_code, 64);
  EXPECT_EQ(run("--trace /nowhere").exit_code, 64);
}

}  // namespace
