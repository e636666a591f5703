// Settings: what is accepted, and that a bad one is named. The exported functions against the
// table.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include <cuda.h>

namespace {

// What a program that only calls cuInit prints with this environment.
std::string output_with(const std::string& environment) {
  const std::string command = environment + " /proc/" + std::to_string(getpid()) +
                              "/exe --gtest_also_run_disabled_tests"
                              " --gtest_filter=Settings.DISABLED_OnlyInitialises 2>&1";
  std::string text;
  std::FILE* pipe = popen(command.c_str(), "r");
  for (std::array<char, 256> buffer; std::fgets(buffer.data(), buffer.size(), pipe) != nullptr;) {
    text += buffer.data();
  }
  pclose(pipe);
  return text;
}

TEST(Settings, DISABLED_OnlyInitialises) {
  std::printf("cuInit gives %d\n", cuInit(0));
}

TEST(Settings, NamesTheVariableTheValueAndWhatIsAccepted) {
  const std::string text = output_with("SIMGPU_HBM=12Q");
  EXPECT_NE(text.find("SIMGPU_HBM='12Q': accepted is"), std::string::npos) << text;
  EXPECT_NE(text.find("cuInit gives 1\n"), std::string::npos) << text;
}

TEST(Settings, RefusesABadFaultPlanAndABadSeed) {
  EXPECT_NE(output_with("SIMGPU_FAULTS=cuMemMap").find("SIMGPU_FAULTS: 'cuMemMap'"),
            std::string::npos);
  EXPECT_NE(output_with("SIMGPU_FUZZ=1:101").find("SIMGPU_FUZZ='1:101'"), std::string::npos);
}

TEST(Settings, AcceptsSizesWithUnits) {
  EXPECT_NE(output_with("SIMGPU_HBM=64MiB SIMGPU_HOST=1048576").find("cuInit gives 0\n"),
            std::string::npos);
}

// What a program prints that is started with this as its device profile.
std::string output_with_profile(const std::string& text) {
  const std::string path = testing::TempDir() + "profile_" + std::to_string(getpid()) + ".toml";
  std::ofstream(path) << text;
  const std::string output = output_with("SIMGPU_PROFILE=" + path);
  std::remove(path.c_str());
  return output;
}

TEST(Profile, NamesFileLineKeyValueAndWhatIsAccepted) {
  const struct {
    const char* text;
    const char* told;
  } wrong[] = {
      {"[link]\nboth_GBps = -3\n", ".toml:2: link.both_GBps = -3: accepted is a number above 0"},
      {"[link]\nboth_GBps = 0\n", ".toml:2: link.both_GBps = 0: accepted is a number above 0"},
      {"[copy]\n\nstart_us = 'x'\n", ".toml:3: copy.start_us = 'x': accepted is a number of 0"},
      {"clock = 'fast'\n", ".toml:1: clock = 'fast': accepted is \"virtual\" or \"real\""},
      {"scale = 0\n", ".toml:1: scale = 0: accepted is a number above 0"},
      {"[link]\nspeed = 3\n", ".toml:2: link.speed = 3: unknown key: accepted in [link] are"},
      {"speed = 3\n", ".toml:1: speed = 3: unknown key: accepted are clock, scale, [hbm]"},
      {"link = 3\n", ".toml:1: link = 3: accepted is a section"},
      {"[link\n", ".toml:1: "},
  };
  for (const auto& one : wrong) {
    const std::string text = output_with_profile(one.text);
    EXPECT_NE(text.find(one.told), std::string::npos) << text;
    EXPECT_NE(text.find("cuInit gives 1\n"), std::string::npos) << text;
  }
}

TEST(Profile, MayLeaveOutWhatItDoesNotLimit) {
  for (const char* text :
       {"", "clock = \"real\"\n[copy]\nstart_us = 0\n", "[map]\ncall_us = 1.5\n"}) {
    EXPECT_NE(output_with_profile(text).find("cuInit gives 0\n"), std::string::npos) << text;
  }
}

TEST(Profile, ThatIsNotThereIsNamed) {
  const std::string text = output_with("SIMGPU_PROFILE=/nowhere/a.toml");
  EXPECT_NE(text.find("SIMGPU_PROFILE: /nowhere/a.toml"), std::string::npos) << text;
}

TEST(Symbols, EachIsAnsweredWithTheFunctionOfThatName) {
  ASSERT_EQ(cuInit(0), CUDA_SUCCESS);
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  ASSERT_NE(library, nullptr);
  const struct {
    const char* name;
    const char* exported;
    int version;
    bool per_thread;
  } symbols[] = {
#define SYMBOL(name, exported, version, per_thread) {#name, #exported, version, per_thread},
#include "symbols.def"
#undef SYMBOL
  };
  for (const auto& symbol : symbols) {
    const auto flags = symbol.per_thread ? CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM
                                         : CU_GET_PROC_ADDRESS_LEGACY_STREAM;
    void* answer = nullptr;
    EXPECT_EQ(cuGetProcAddress(symbol.name, &answer, symbol.version, flags, nullptr), CUDA_SUCCESS);
    EXPECT_EQ(answer, dlsym(library, symbol.exported)) << symbol.exported;
    EXPECT_NE(answer, nullptr) << symbol.exported;
  }
}

}  // namespace
