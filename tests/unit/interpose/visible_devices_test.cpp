// Which GPUs a process will have, and how their UUIDs are written.
#include "interpose/visible_devices.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace vhbm::interpose {
namespace {

constexpr const char* uuids[] = {"GPU-00112233-4455-6677-8899-aabbccddeeff",
                                 "GPU-10112233-4455-6677-8899-aabbccddeeff",
                                 "GPU-20112233-4455-6677-8899-aabbccddeeff"};

// The numbers of those of three GPUs that are visible.
std::string visible(const char* list, bool numbered_alike = true) {
  std::string numbers;
  for (unsigned i = 0; i < 3; ++i) {
    if (is_visible({i, uuids[i]}, list, 3, numbered_alike)) numbers += std::to_string(i);
  }
  return numbers;
}

TEST(VisibleDevices, AreAllWhereTheVariableIsNotSet) {
  EXPECT_EQ(visible(nullptr), "012");
  EXPECT_EQ(visible(nullptr, false), "012");
}

TEST(VisibleDevices, AreThoseOfTheListUpToWhatIsNoGpu) {
  EXPECT_EQ(visible("1"), "1");
  EXPECT_EQ(visible("2, 0"), "02");
  EXPECT_EQ(visible("1,3,0"), "1");
  EXPECT_EQ(visible("0,-1,2"), "0");
  EXPECT_EQ(visible("0,nonsense,2"), "0");
  EXPECT_EQ(visible("-1"), "");
  EXPECT_EQ(visible(""), "");
  EXPECT_EQ(visible("99999999999999999999,0"), "");
}

TEST(VisibleDevices, CanBeNamedByUuidInPart) {
  EXPECT_EQ(visible(uuids[2]), "2");
  EXPECT_EQ(visible("GPU-10"), "1");
  EXPECT_EQ(visible("GPU-2011,0"), "02");
  EXPECT_EQ(visible("GPU-"), "");
}

TEST(VisibleDevices, AreNotGuessedByNumberWhereTheOrderIsNotKnown) {
  EXPECT_EQ(visible("0,1", false), "");
  EXPECT_EQ(visible("0,GPU-2011", false), "2");
}

TEST(VisibleDevices, HavePartsOnlyByName) {
  const MachineDevice part{0, "MIG-00112233-4455-6677-8899-aabbccddeeff"};
  EXPECT_FALSE(is_visible(part, nullptr, 3, true));
  EXPECT_FALSE(is_visible(part, "0", 3, true));
  EXPECT_FALSE(is_visible(part, "GPU-00112233", 3, true));
  EXPECT_TRUE(is_visible(part, "MIG-00112233-4455", 3, true));
}

TEST(Uuid, IsReadFromItsText) {
  const auto bytes = uuid_bytes("GPU-73696d75-6c61-7465-642d-6770752D3031");
  ASSERT_TRUE(bytes);
  const std::string_view expected = "simulated-gpu-01";
  EXPECT_TRUE(std::equal(bytes->begin(), bytes->end(), expected.begin(), expected.end()));
  EXPECT_TRUE(uuid_bytes("MIG-73696d75-6c61-7465-642d-6770752d3031"));
}

TEST(Uuid, IsNotReadFromAnythingElse) {
  EXPECT_FALSE(uuid_bytes(""));
  EXPECT_FALSE(uuid_bytes("GPU-"));
  EXPECT_FALSE(uuid_bytes("73696d75-6c61-7465-642d-6770752d3031"));
  EXPECT_FALSE(uuid_bytes("GPU-73696d75-6c61-7465-642d-6770752d303"));
  EXPECT_FALSE(uuid_bytes("GPU-73696d75-6c61-7465-642d-6770752d30310"));
  EXPECT_FALSE(uuid_bytes("GPU-73696d75-6c61-7465-642d-6770752d303g"));
  EXPECT_FALSE(uuid_bytes("MIG-GPU-73696d75-6c61-7465-642d-6770752d3031/1/0"));
}

}  // namespace
}  // namespace vhbm::interpose
