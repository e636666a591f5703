// The whole product on a driver that fails: each function that vHBM's runtime calls
// (runtime/driver.def) fails while vHBM starts, at several of its calls while a program runs, and
// while that program's context ends. The program's own part is faulted_program.cpp.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>

#include "tests/integration/interpose/command.h"

namespace {

constexpr const char* driver_functions[] = {
#define DRIVER(need, symbol) #symbol,
#include "runtime/driver.def"
#undef DRIVER
};

// Called by a runtime that ends, which that of a process never does once it has started; the test
// of the runtime alone (faults_test.cpp) lets them fail. The simulated GPU has no memory nodes of
// graphs. Memory is asked about where a KV layout describes a kernel
// (tests/unit/runtime/kv_heat_test), of which there is none. The others are for programs that map
// memory themselves or share it, which this one does not.
const std::set<std::string> without_faults = {"cuModuleUnload",
                                              "cuMemFreeHost",
                                              "cuDeviceGetGraphMemAttribute",
                                              "cuPointerGetAttribute",
                                              "cuMemGetAddressRange_v2",
                                              "cuMemGetAccess",
                                              "cuMemRetainAllocationHandle",
                                              "cuCtxGetFlags",
                                              "cuCtxSetFlags",
                                              "cuMemExportToShareableHandle",
                                              "cuMemImportFromShareableHandle"};

// Runs the program; how many calls failed.
unsigned long program(const std::string& arguments, const std::string& faults = "",
                      const std::string& more = "") {
  const auto [exit_code, output] =
      shell("timeout 120 env LD_PRELOAD='" PRELOAD "' SIMGPU_FAULTS='" + faults + "' " + more +
            " " FAULTED_PROGRAM " " + arguments + " 2>&1");
  EXPECT_EQ(exit_code, 0) << arguments << ' ' << faults << '\n' << output;
  const std::size_t struck = output.rfind("struck ");
  return struck == std::string::npos ? 0 : std::strtoul(output.c_str() + struck + 7, nullptr, 10);
}

const std::string trace = ::testing::TempDir() + "faulty." + std::to_string(getpid()) + ".vhbm";

class FaultyDriver : public ::testing::TestWithParam<const char*> {
 protected:
  // Each program that finds one there makes another beside it.
  void TearDown() override {
    for (const auto& entry : std::filesystem::directory_iterator(::testing::TempDir())) {
      if (entry.path().string().starts_with(trace)) std::filesystem::remove(entry.path());
    }
  }
};

TEST_P(FaultyDriver, GivesRightBytesOrAnErrorAndLeavesNothing) {
  const std::string function = GetParam();
  // Asked of only where the GPU is shared, and for the head of a recording.
  const std::string more = function == "cuDeviceGetUuid_v2" ? "VHBM_SHARE_GPU=1"
                           : function == "cuDeviceGetName"  ? "VHBM_RECORD=" + trace
                                                            : "";
  unsigned long struck = 0;
  for (int call = 1; call <= 3; ++call) {
    const unsigned long now =
        program("start", function + ":" + std::to_string(call) + "=801", more);
    struck += now;
    if (now == 0) break;  // it does not come that often
  }
  // A start that fails for another reason takes back what it had.
  struck += program("start", "cuMemMap:1=801," + function + ":1=304", more) > 1 ? 1 : 0;
  struck += program("run " + function, "", more);
  if (without_faults.count(function) != 0) {
    EXPECT_EQ(struck, 0u) << "can fail after all: take it off the list";
  } else {
    EXPECT_GT(struck, 0u) << "is never called, so nothing was tried";
  }
}

TEST(LostDevice, IsToldAndAfterAResetAllWorksAgain) {
  program("lost");
}

TEST(HostMemory, ThatRunsOutIsAnErrorAndAllOfItComesBack) {
  program("exhausted", "", "SIMGPU_HOST=24MiB");
}

INSTANTIATE_TEST_SUITE_P(Each, FaultyDriver, ::testing::ValuesIn(driver_functions),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
