// Claims on one GPU, each as a process of its own would have it.
#include "runtime/claims.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

namespace vhbm {
namespace {

using namespace std::chrono_literals;

class ClaimsTest : public ::testing::Test {
 protected:
  ClaimsTest() {
    std::string directory = std::filesystem::temp_directory_path() / "vhbm-claims-XXXXXX";
    EXPECT_NE(mkdtemp(directory.data()), nullptr);
    directory_ = directory;
  }
  ~ClaimsTest() override { std::filesystem::remove_all(directory_); }

  static GpuUuid gpu(char which) {
    GpuUuid uuid{};
    uuid[0] = which;
    return uuid;
  }
  static void join(Claims& claims) {
    std::string why_not;
    ASSERT_TRUE(claims.join(0, &why_not)) << why_not;
  }
  static void publish(Claims& claims, std::uint64_t id, std::chrono::nanoseconds now) {
    Claim claim;
    claim.id = id;
    claim.responds = true;
    claims.publish(claim, now);
  }

  std::string directory_;
};

TEST_F(ClaimsTest, AreFoundInWhateverOrderTheyArePublished) {
  Claims one(directory_, gpu(1)), other(directory_, gpu(1));
  join(one);
  join(other);
  EXPECT_EQ(one.all(10s).size(), 2u);  // neither has been published
  EXPECT_EQ(other.all(10s).size(), 2u);
  publish(one, 1, 10s);
  publish(other, 2, 10s);
  ASSERT_EQ(one.all(10s).size(), 2u);
  EXPECT_EQ(one.last()[0].id, 1u);
  EXPECT_EQ(one.last()[1].id, 2u);
  ASSERT_EQ(other.all(10s).size(), 2u);
  EXPECT_EQ(other.last()[0].id, 2u);
  EXPECT_EQ(other.last()[1].id, 1u);
}

TEST_F(ClaimsTest, RespondWhilePublished) {
  Claims one(directory_, gpu(1)), other(directory_, gpu(1));
  join(one);
  join(other);
  EXPECT_FALSE(one.all(10s)[1].responds);
  publish(other, 2, 10s);
  EXPECT_TRUE(one.all(10s)[1].responds);
  EXPECT_FALSE(one.all(10s + Claims::patience)[1].responds);
}

TEST_F(ClaimsTest, OfAnotherGpuAreNotSeen) {
  Claims one(directory_, gpu(1)), other(directory_, gpu(2));
  join(one);
  join(other);
  EXPECT_EQ(one.all(10s).size(), 1u);
  EXPECT_EQ(other.all(10s).size(), 1u);
}

TEST_F(ClaimsTest, EndWithTheirProcess) {
  Claims one(directory_, gpu(1));
  join(one);
  {
    Claims other(directory_, gpu(1));
    join(other);
    EXPECT_EQ(one.all(10s).size(), 2u);
  }
  EXPECT_EQ(one.all(10s).size(), 1u);
}

// As VHBM_STATE_DIR may be given.
TEST_F(ClaimsTest, AreTheirOwnAlsoInADirectoryNamedOtherwise) {
  Claims one(directory_ + "//", gpu(1));
  join(one);
  EXPECT_EQ(one.all(10s).size(), 1u);
}

}  // namespace
}  // namespace vhbm
