// `vhbm doctor` where all is well, and where something is broken on purpose.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "command.h"

namespace {

using Json = nlohmann::json;

const std::string state = "/tmp/vhbm-doctor-test." + std::to_string(getpid());
const std::string sanitizer = *SANITIZER_LIBRARY != '\0'
                                  ? "LD_PRELOAD=" SANITIZER_LIBRARY
                                    " ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 "
                                  : "";
const std::string simulated = "LD_LIBRARY_PATH=" VHBM_LIB_DIR " ";

struct Visit {
  int exit_code;
  Json report;
  std::string output;

  // The first finding of a check; an empty object when there is none.
  [[nodiscard]] Json of(const std::string& check) const {
    if (!report.is_object()) return Json::object();
    for (const Json& one : report["checks"]) {
      if (one["check"] == check) return one;
    }
    return Json::object();
  }
  [[nodiscard]] bool finds(const std::string& check, const char* verdict, const char* words) const {
    const Json finding = of(check);
    return finding.value("verdict", "") == verdict &&
           finding.value("what", "").find(words) != std::string::npos;
  }
};

Visit visit(const std::string& environment, const std::string& options = "") {
  const CommandResult result =
      shell("env " + sanitizer + "VHBM_STATE_DIR=" + state + " " + environment +
            " " VHBM_COMMAND " doctor --json " + options + " 2>/dev/null");
  return {result.exit_code, Json::parse(result.output, nullptr, false), result.output};
}

class Doctor : public ::testing::Test {
 protected:
  ~Doctor() override { std::filesystem::remove_all(state); }
};

TEST_F(Doctor, FindsTheSimulatedGpuHealthy) {
  const Visit seen = visit(simulated + "SIMGPU_HBM=256MiB");
  EXPECT_EQ(seen.exit_code, 0) << seen.output;
  EXPECT_TRUE(seen.finds("driver", "ok", "simulated GPU driver, no real GPU")) << seen.output;
  EXPECT_TRUE(seen.finds("gpus", "ok", "256.0 MiB")) << seen.output;
  EXPECT_TRUE(seen.finds("virtual_memory", "ok", "GPU 0")) << seen.output;
  EXPECT_TRUE(seen.finds("host_frames", "ok", "GPU 0 wrote and read")) << seen.output;
  EXPECT_TRUE(seen.finds("numa_node", "ok", "NUMA node 0")) << seen.output;
  EXPECT_TRUE(seen.finds("state_directory", "ok", state.c_str())) << seen.output;
  EXPECT_TRUE(seen.finds("library", "ok", "libvhbm.so loads")) << seen.output;
  EXPECT_TRUE(seen.finds("system", "ok", "glibc 2.")) << seen.output;
  for (const char* check : {"capabilities", "locked_memory", "mappings", "host_memory"}) {
    EXPECT_FALSE(seen.of(check).empty()) << check;
  }
  // Nothing is left behind.
  EXPECT_TRUE(std::filesystem::is_empty(state));
}

TEST_F(Doctor, FindsWhereKernelTimesCome) {
  const Visit seen = visit(simulated);
  EXPECT_TRUE(seen.finds("kernel_times", "ok", "CUPTI ")) << seen.output;
  EXPECT_TRUE(seen.finds("kernel_times", "ok", VHBM_LIB_DIR "/libcupti.so.")) << seen.output;
  const Visit old = visit(simulated + "SIMGPU_CUPTI_VERSION=18");
  EXPECT_EQ(old.exit_code, 0) << old.output;
  EXPECT_TRUE(old.finds("kernel_times", "advice", "there are none: ")) << old.output;
}

TEST_F(Doctor, AdvisesWhereMpsSharesTheGpu) {
  EXPECT_TRUE(visit(simulated).finds("mps", "ok", "not shared through MPS"));
  const Visit seen = visit(simulated + "SIMGPU_MPS=1");
  EXPECT_EQ(seen.exit_code, 0) << seen.output;
  EXPECT_TRUE(seen.finds("mps", "advice", "no pages move")) << seen.output;
}

TEST_F(Doctor, TellsAPersonOneLineACheck) {
  const CommandResult told = shell("env " + sanitizer + simulated + "VHBM_STATE_DIR=" + state +
                                   " " VHBM_COMMAND " doctor");
  EXPECT_EQ(told.exit_code, 0);
  EXPECT_EQ(told.output.find('\033'), std::string::npos);
  EXPECT_NE(told.output.find("\nok      host frames"), std::string::npos) << told.output;
  EXPECT_NE(told.output.find("all that vHBM needs is here"), std::string::npos) << told.output;
}

TEST_F(Doctor, FindsEachStepOfAHostFrameThatFails) {
  for (const char* function : {"cuMemCreate", "cuMemMap", "cuMemSetAccess", "cuMemsetD32"}) {
    const Visit seen = visit(simulated + "SIMGPU_FAULTS=" + function + ":1+=801");
    EXPECT_EQ(seen.exit_code, 1) << seen.output;
    EXPECT_TRUE(seen.finds("host_frames", "problem", function)) << seen.output;
    EXPECT_TRUE(seen.finds("host_frames", "problem", "CUDA_ERROR_NOT_SUPPORTED")) << seen.output;
    EXPECT_NE(seen.of("host_frames")["to_do"], "");
    EXPECT_EQ(seen.report["ok"], false);
    EXPECT_TRUE(seen.finds("driver", "ok", "")) << seen.output;
  }
}

TEST_F(Doctor, FindsNoDriver) {
  const Visit seen = visit("LD_LIBRARY_PATH=" VHBM_LIB_DIR "/none BROKEN_DRIVER=");
  if (seen.report["checks"][0]["verdict"] == "ok") GTEST_SKIP() << "there is a driver";
  EXPECT_EQ(seen.exit_code, 2) << seen.output;
  EXPECT_TRUE(seen.finds("driver", "problem", "there is no GPU driver")) << seen.output;
  EXPECT_TRUE(seen.finds("library", "ok", "loads")) << seen.output;
}

TEST_F(Doctor, SurvivesAnyDriver) {
  // A sanitizer would make an exit of the crash.
  const std::string broken =
      "ASAN_OPTIONS=handle_segv=0:handle_abort=0 TSAN_OPTIONS=handle_segv=0:handle_abort=0 "
      "LD_LIBRARY_PATH=" BROKEN_DRIVER_DIR " BROKEN_DRIVER=";
  const Visit crash = visit(broken + "crash");
  EXPECT_EQ(crash.exit_code, 1) << crash.output;
  EXPECT_TRUE(crash.finds("driver", "problem", "cuInit crashed")) << crash.output;
  const Visit hang = visit(broken + "hang", "--timeout 0.5");
  EXPECT_EQ(hang.exit_code, 1) << hang.output;
  EXPECT_TRUE(hang.finds("driver", "problem", "cuInit hangs")) << hang.output;
  const Visit stub = visit(broken + "stub");
  EXPECT_EQ(stub.exit_code, 2) << stub.output;
  EXPECT_TRUE(stub.finds("driver", "problem", "there is no GPU driver")) << stub.output;
}

TEST_F(Doctor, FindsWhatIsWrongWithItsOwn) {
  const Visit no_library = visit(simulated + "VHBM_LIBRARY=/no/such.so");
  EXPECT_EQ(no_library.exit_code, 1);
  EXPECT_TRUE(no_library.finds("library", "problem", "/no/such.so")) << no_library.output;
  const Visit not_loadable = visit(simulated + "VHBM_LIBRARY=/etc/passwd");
  EXPECT_EQ(not_loadable.exit_code, 1);
  EXPECT_TRUE(not_loadable.finds("library", "problem", "does not load")) << not_loadable.output;
  const Visit nowhere = visit(simulated + "VHBM_STATE_DIR=/proc/none");
  EXPECT_EQ(nowhere.exit_code, 1);
  EXPECT_TRUE(nowhere.finds("state_directory", "problem", "/proc/none")) << nowhere.output;
}

}  // namespace
