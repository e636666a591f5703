// Host memory that one device has to spare and another needs, where it cannot be had at once.
#include "runtime/host_ledger.h"

#include <gtest/gtest.h>

namespace vhbm {
namespace {

class SharedHostMemory : public ::testing::Test {
 protected:
  SharedHostMemory() {
    ledger_.set_limit(mib(8));
    for (HostLedger::Member* member : {&rich_, &poor_}) {
      member->yield = [] { return false; };
      ledger_.join(member);
    }
    EXPECT_TRUE(ledger_.take(mib(8), rich_));
    rich_.spare = mib(8).value;
  }
  void rich_gives_up(Bytes size) {
    rich_.spare -= size.value;
    ledger_.give_back(size);
  }

  HostLedger ledger_;
  HostLedger::Member rich_, poor_;
};

TEST_F(SharedHostMemory, IsHadAtOnceWhereItsHolderCanGiveItUp) {
  rich_.yield = [this] {
    rich_gives_up(mib(2));
    return true;
  };
  EXPECT_TRUE(ledger_.take(mib(4), poor_));
  EXPECT_EQ(rich_.spare, mib(4).value);
  EXPECT_FALSE(ledger_.over_limit(rich_)) << "nothing is wanted any more";
}

TEST_F(SharedHostMemory, IsGivenUpLaterAndKeptForWhoWantedIt) {
  EXPECT_FALSE(ledger_.over_limit(rich_));
  EXPECT_FALSE(ledger_.take(mib(4), poor_)) << "its holder is busy";
  EXPECT_TRUE(ledger_.over_limit(rich_)) << "and learns of it";
  EXPECT_FALSE(ledger_.over_limit(poor_)) << "who wants it has nothing to give up";
  rich_gives_up(mib(2));
  EXPECT_TRUE(ledger_.over_limit(rich_));
  rich_gives_up(mib(2));
  EXPECT_FALSE(ledger_.over_limit(rich_)) << "that was enough";
  EXPECT_FALSE(ledger_.take_unused(mib(2), rich_)) << "not for what is wanted ahead of need";
  EXPECT_TRUE(ledger_.take(mib(4), poor_));
  rich_gives_up(mib(2));
  EXPECT_TRUE(ledger_.take_unused(mib(2), rich_)) << "nobody waits any more";
}

TEST_F(SharedHostMemory, IsKeptForNobodyWhoGaveUp) {
  ledger_.want(mib(6), poor_);
  EXPECT_TRUE(ledger_.over_limit(rich_));
  ledger_.want({}, poor_);
  EXPECT_FALSE(ledger_.over_limit(rich_));
  rich_gives_up(mib(2));
  EXPECT_TRUE(ledger_.take_unused(mib(2), rich_));
}

TEST_F(SharedHostMemory, IsNotWantedOfWhoHasNoneToSpare) {
  rich_.spare = 0;
  EXPECT_FALSE(ledger_.take(mib(2), poor_));
  EXPECT_FALSE(ledger_.over_limit(rich_));
}

}  // namespace
}  // namespace vhbm
