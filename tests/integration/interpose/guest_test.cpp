// A guest in other people's processes: unseen where there is no GPU work, and where it cannot work
// it says so in one line and lets the program run.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "command.h"

namespace {

const std::string state = "/tmp/vhbm-guest-test." + std::to_string(getpid());
// A sanitizer is seen wherever it is, and looks for leaks in programs that are not ours.
const bool sanitized = *SANITIZER_LIBRARY != '\0';
const std::string preloaded =
    "env LD_PRELOAD=" PRELOAD " ASAN_OPTIONS=detect_leaks=0 VHBM_STATE_DIR=" + state + " ";
const std::string on_gpu =
    preloaded + "LD_LIBRARY_PATH=" VHBM_LIB_DIR " SIMGPU_HBM=256MiB VHBM_HBM_LIMIT=32MiB ";
const std::string program = CUDA_PROGRAM;

class Guest : public ::testing::Test {
 protected:
  ~Guest() override { std::filesystem::remove_all(state); }
};

TEST_F(Guest, IsUnseenInProgramsThatUseNoGpu) {
  if (sanitized) GTEST_SKIP() << "the sanitizer is not unseen";
  for (const std::string command :
       {"/bin/true", "/bin/false", "bash -c 'echo out; echo err >&2; exit 7'",
        "python3 -c 'import ctypes, sys; print(ctypes.CDLL(None).getpid() > 0); sys.exit(5)'",
        "sh -c 'ls / | head -n 1'"}) {
    const CommandResult native = shell(command + " 2>&1");
    const CommandResult guest = shell(preloaded + command + " 2>&1");
    EXPECT_EQ(guest.exit_code, native.exit_code) << command;
    EXPECT_EQ(guest.output, native.output) << command;
  }
  EXPECT_FALSE(std::filesystem::exists(state));
}

TEST_F(Guest, StartsNoThreadBeforeAContextIsUsed) {
  if (sanitized) GTEST_SKIP() << "the sanitizer may start one";
  const CommandResult guest = shell(preloaded + "bash -c 'ls /proc/$$/task | wc -l' 2>&1");
  EXPECT_EQ(guest.output, "1\n");
}

TEST_F(Guest, OpensNoFileThatTheLoaderDoesNot) {
  if (sanitized) GTEST_SKIP() << "the sanitizer opens some";
  // The shell lists its own descriptors, itself.
  const std::string list = "bash -c 'cd /proc/$$/fd; echo *' 2>&1";
  EXPECT_EQ(shell(preloaded + list).output, shell(list).output);
  // What was opened and closed again leaves its path in no list: the system calls tell.
  if (shell("command -v strace").exit_code != 0 ||
      shell("strace -o /dev/null true").exit_code != 0) {
    GTEST_SKIP() << "strace is not here, or may not trace";
  }
  const CommandResult traced =
      shell(preloaded + "strace -f -e trace=openat,clone,?clone3,socket /bin/true" +
            " 2>&1 | grep -v -e ENOENT -e '\\.so' -e /bin/true -e exited");
  EXPECT_EQ(traced.output, "");
}

TEST_F(Guest, LetsAProgramWithoutADriverFindNone) {
  const CommandResult guest =
      shell(preloaded +
            "python3 -c 'import ctypes; ctypes.CDLL(\"libcuda-that-is-not-there.so.1\")' 2>&1");
  EXPECT_NE(guest.output.find("cannot open shared object file"), std::string::npos);
}

TEST_F(Guest, LivesWithADriverThatHasAlmostNoFunctions) {
  if (sanitized) GTEST_SKIP() << "Python is not built with the sanitizer";
  const std::string ask = "LD_LIBRARY_PATH=" BROKEN_DRIVER_DIR
                          " python3 -c 'import ctypes\n"
                          "driver = ctypes.CDLL(\"libcuda.so.1\")\n"
                          "print(driver.cuInit(0), [hasattr(driver, name) for name in "
                          "(\"cuInit\", \"cuMemAlloc_v2\", \"cuGetProcAddress_v2\")])' 2>&1";
  const CommandResult native = shell(ask);
  EXPECT_EQ(native.output, "34 [True, False, False]\n");
  EXPECT_EQ(shell(preloaded + ask).output, native.output);
}

TEST_F(Guest, VirtualisesAProgramThatKnowsNothingOfIt) {
  const CommandResult native =
      shell("env LD_LIBRARY_PATH=" VHBM_LIB_DIR " SIMGPU_HBM=32MiB " + program + " 64 2>&1");
  EXPECT_EQ(native.exit_code, 2) << native.output;
  const CommandResult guest = shell(on_gpu + program + " 64 2>&1");
  EXPECT_EQ(guest.exit_code, 0) << guest.output;
  EXPECT_EQ(guest.output, "64 MiB written and read back\n");
}

TEST_F(Guest, IsInertWhenDisabled) {
  const CommandResult guest =
      shell(on_gpu + "VHBM_DISABLE=1 SIMGPU_HBM=32MiB " + program + " 64 2>&1");
  EXPECT_EQ(guest.exit_code, 2);
  EXPECT_FALSE(std::filesystem::exists(state));
}

// One line that says what is wrong, and the same output as without us.
void expect_one_line_and_a_native_run(const std::string& environment, const std::string& said) {
  const CommandResult guest = shell(on_gpu + environment + program + " 64 2>&1");
  EXPECT_EQ(guest.exit_code, 0) << guest.output;
  EXPECT_EQ(std::count(guest.output.begin(), guest.output.end(), '\n'), 2) << guest.output;
  EXPECT_NE(guest.output.find(said), std::string::npos) << guest.output;
  EXPECT_NE(guest.output.find("64 MiB written and read back\n"), std::string::npos);
}

TEST_F(Guest, SaysWhichOptionIsWrongAndRunsNatively) {
  expect_one_line_and_a_native_run("VHBM_HOST_LIMIT=plenty ", "VHBM_HOST_LIMIT=plenty");
  expect_one_line_and_a_native_run("VHBM_POLICY=guess ", "VHBM_POLICY=\"guess\"");
}

TEST_F(Guest, SaysWhatIsWrongWithItsFileAndRunsNatively) {
  const std::string file = state + ".toml";
  std::ofstream(file) << "log = \"info\"\nhbm_limit = \"8 gigs\"\n";
  const std::string named = "VHBM_CONFIG=" + file + " ";
  expect_one_line_and_a_native_run(
      named,
      "error: " + file +
          ":2: hbm_limit = \"8 gigs\" is not accepted: expected a size such as 8GiB, 512MiB or "
          "4096 (bytes), a share such as 75%, or auto; vHBM is off in this process\n");
  EXPECT_EQ(shell(on_gpu + named + "VHBM_DISABLE=1 " + program + " 64 2>&1").output,
            "64 MiB written and read back\n");

  std::ofstream(file) << "policy = \"guess\"\n";
  expect_one_line_and_a_native_run(named,
                                   file + ":1: policy = \"guess\" is not accepted: expected ");
  std::filesystem::remove(file);
  expect_one_line_and_a_native_run(named, file + ": cannot be read: No such file or directory");
}

TEST_F(Guest, IsInertWhenItsFileSaysSo) {
  const std::string file = state + ".toml";
  std::ofstream(file) << "disable = true\n";
  const CommandResult guest =
      shell(on_gpu + "VHBM_CONFIG=" + file + " SIMGPU_HBM=32MiB " + program + " 64 2>&1");
  EXPECT_EQ(guest.exit_code, 2) << guest.output;
  EXPECT_FALSE(std::filesystem::exists(state));
  std::filesystem::remove(file);
}

TEST_F(Guest, TakesItsLimitFromItsFile) {
  const std::string file = state + ".toml";
  const std::string without_limit =
      preloaded + "LD_LIBRARY_PATH=" VHBM_LIB_DIR " SIMGPU_HBM=256MiB VHBM_CONFIG=" + file + " ";
  // Too little for the program in HBM and host memory together, so the limits are seen at work.
  std::ofstream(file) << "hbm_limit = \"16MiB\"\nhost_limit = \"16MiB\"\n";
  EXPECT_EQ(shell(without_limit + program + " 64 2>/dev/null").exit_code, 2);
  const CommandResult guest =
      shell(without_limit + "VHBM_HOST_LIMIT=64MiB " + program + " 64 2>&1");
  EXPECT_EQ(guest.exit_code, 0) << guest.output;
  std::filesystem::remove(file);
}

TEST_F(Guest, TellsItsLimitToPythonsNvmlWithoutCuda) {
  if (sanitized) GTEST_SKIP() << "Python is not built with the sanitizer";
  const CommandResult guest = shell(
      on_gpu +
      "python3 -c 'import ctypes\n"
      "nvml = ctypes.CDLL(\"libnvidia-ml.so.1\")\n"
      "device, memory = ctypes.c_void_p(), (ctypes.c_ulonglong * 3)()\n"
      "assert nvml.nvmlInit_v2() == 0\n"
      "assert nvml.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device)) == 0\n"
      "assert nvml.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory)) == 0\n"
      "print(*(bytes >> 20 for bytes in memory), \"libcuda\" in open(\"/proc/self/maps\").read())'"
      " 2>&1");
  EXPECT_EQ(guest.output, "32 32 0 False\n");
  EXPECT_FALSE(std::filesystem::exists(state));
}

TEST_F(Guest, SaysWhatTheDriverLacksAndRunsNatively) {
  expect_one_line_and_a_native_run("SIMGPU_FAULTS=cuMemAddressReserve:1-99=801 ",
                                   "vHBM is off in this process");
}

TEST_F(Guest, MovesNothingWhereMpsSharesTheGpuUnlessItIsTold) {
  const std::string shared = on_gpu + "SIMGPU_MPS=1 ";
  const CommandResult guest = shell(shared + program + " 64 2>&1");
  // Held back, not off: what does not fit into HBM is in host memory.
  EXPECT_EQ(guest.exit_code, 0) << guest.output;
  EXPECT_NE(guest.output.find("shared through MPS"), std::string::npos) << guest.output;
  EXPECT_NE(guest.output.find("nothing moves"), std::string::npos) << guest.output;
  EXPECT_EQ(std::count(guest.output.begin(), guest.output.end(), '\n'), 2) << guest.output;
  EXPECT_EQ(shell(shared + "VHBM_FLIP_UNDER_MPS=1 " + program + " 64 2>&1").output,
            "64 MiB written and read back\n");
}

TEST_F(Guest, WorksBesideAProfilerThatTheDriverLoads) {
  const CommandResult guest =
      shell(on_gpu + "CUDA_INJECTION64_PATH=" PROFILER " " + program + " 64 2>&1");
  EXPECT_EQ(guest.exit_code, 0) << guest.output;
  EXPECT_EQ(guest.output, "64 MiB written and read back\nprofiler: worked, 0 wrong answers\n");
}

TEST_F(Guest, IsInertInAForkedChild) {
  const CommandResult guest = shell(on_gpu + program + " 64 fork 2>&1");
  EXPECT_EQ(guest.exit_code, 0) << guest.output;
  EXPECT_EQ(guest.output, "64 MiB written and read back\nand again, after a fork\n");
}

}  // namespace
