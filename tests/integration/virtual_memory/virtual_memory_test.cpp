// Programs that map device memory themselves put out what they put out natively, bit by bit, in a
// quarter of the device memory that they use, with moves at every chance and random delays.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace {

using Json = nlohmann::json;

const std::string folder = testing::TempDir() + "virtual-memory." + std::to_string(getpid());
// A sanitizer must come first in the process.
const std::string sanitizer = *SANITIZER_LIBRARY == 0
                                  ? ""
                                  : "LD_PRELOAD=" SANITIZER_LIBRARY
                                    " ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 ";

std::string read(const std::string& file) {
  std::ifstream stream(folder + "/" + file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

Json read_json(const std::string& file) {
  return Json::parse(read(file), nullptr, false);
}

class VirtualMemory : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder); }
  void TearDown() override { std::filesystem::remove_all(folder); }

  // The program's output.
  static std::string run(const std::string& environment, const std::string& command) {
    const std::string program = std::string(PROGRAMS " ") + GetParam();
    EXPECT_EQ(std::system(("env LD_LIBRARY_PATH=" VHBM_LIB_DIR " " + environment + " " + command +
                           program + " >" + folder + "/output 2>" + folder + "/errors")
                              .c_str()),
              0)
        << read("errors");
    return read("output");
  }
};

TEST_P(VirtualMemory, PutsOutTheSameInAQuarterOfIt) {
  const std::string expected = run("SIMGPU_SUMMARY=" + folder + "/native.json", "");
  ASSERT_NE(expected.find("done"), std::string::npos) << expected;
  const auto used = read_json("native.json").value("peak_hbm_bytes", std::uint64_t{0});
  const std::uint64_t quarter = used / 4;
  ASSERT_GE(quarter, 10u << 20);

  const std::string environment = "SIMGPU_FUZZ=1:20 SIMGPU_SUMMARY=" + folder +
                                  "/device.json VHBM_STATE_DIR=" + folder + "/state " + sanitizer;
  const std::string vhbm = VHBM_COMMAND " run --hbm-limit " + std::to_string(quarter) +
                           " --set pager_interval=1ms --set stall_limit=90% --set thrash_guard=0"
                           " --set quiesce_deadline=50ms --summary " +
                           folder + "/summary.json -- ";
  EXPECT_EQ(run(environment, vhbm), expected);
  EXPECT_LE(read_json("device.json").value("peak_hbm_bytes", used), quarter);
  const Json counted = read_json("summary.json")["stats"];
  EXPECT_EQ(counted.value("frozen", 1), 0);
  EXPECT_EQ(counted.value("driver_errors", 1), 0);
  EXPECT_GT(counted.value("promoted_bytes", 0), 0) << "nothing moved, so nothing was tried";
  for (const char* left : {"regions", "region_bytes", "resident_bytes", "host_mapped_bytes",
                           "fixed_bytes", "native_bytes"}) {
    EXPECT_EQ(counted.value(left, 1), 0) << left;
  }
}

INSTANTIATE_TEST_SUITE_P(Programs, VirtualMemory,
                         testing::Values("expandable_segments", "sleep_mode", "elastic_cache",
                                         "collectives"));

}  // namespace
