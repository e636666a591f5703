// Handles are any addresses; values are told apart by their own.
#include "interpose/handle_table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace vhbm::interpose {
namespace {

const void* handle(std::uintptr_t number) {
  return reinterpret_cast<const void*>(number * 64);
}

TEST(HandleTable, FindsWhatWasPut) {
  HandleTable<int, 64> table;
  const int one = 1, two = 2;
  EXPECT_EQ(table.find(handle(1)), nullptr);
  EXPECT_TRUE(table.put(handle(1), &one));
  EXPECT_TRUE(table.put(handle(2), &two));
  EXPECT_EQ(table.find(handle(1)), &one);
  EXPECT_EQ(table.find(handle(2)), &two);
  EXPECT_TRUE(table.put(handle(1), &two));
  EXPECT_EQ(table.find(handle(1)), &two);
}

TEST(HandleTable, StillFindsOthersAfterOneWasTaken) {
  HandleTable<int, 64> table;
  const int value = 1;
  for (std::uintptr_t i = 1; i <= 24; ++i) ASSERT_TRUE(table.put(handle(i), &value));
  EXPECT_EQ(table.take(handle(7)), &value);
  EXPECT_EQ(table.take(handle(7)), nullptr);
  for (std::uintptr_t i = 1; i <= 24; ++i) {
    EXPECT_EQ(table.find(handle(i)), i == 7 ? nullptr : &value) << i;
  }
}

TEST(HandleTable, TakesUpASlotThatBecameFree) {
  HandleTable<int, 64> table;
  const int value = 1;
  for (std::uintptr_t i = 1; i <= 10'000; ++i) {
    ASSERT_TRUE(table.put(handle(i), &value)) << i;
    ASSERT_EQ(table.take(handle(i)), &value) << i;
  }
}

TEST(HandleTable, RefusesWhatHasNoRoom) {
  HandleTable<int, 64> table;
  const int value = 1;
  int refused = 0;
  for (std::uintptr_t i = 1; i <= 200; ++i) {
    if (!table.put(handle(i), &value)) ++refused;
  }
  EXPECT_GE(refused, 200 - 64);
}

TEST(HandleTable, GivesAReaderNeverTheValueOfAnotherHandle) {
  HandleTable<std::uintptr_t, 64> table;
  std::vector<std::uintptr_t> values(16);
  for (std::uintptr_t i = 0; i < values.size(); ++i) values[i] = i;
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int round = 0; !stop; ++round) {
      for (std::uintptr_t i = 0; i < values.size(); ++i) table.put(handle(i + 1), &values[i]);
      table.drop_values();
    }
  });
  int wrong = 0;
  for (int round = 0; round < 200'000; ++round) {
    const std::uintptr_t i = static_cast<std::uintptr_t>(round) % values.size();
    const std::uintptr_t* found = table.find(handle(i + 1));
    if (found != nullptr && *found != i) ++wrong;
  }
  stop = true;
  writer.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace vhbm::interpose
