// Settings: what is accepted, and that a bad one is named. The exported functions against the
// table.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstring>
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
