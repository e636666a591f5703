// The store over media that fail as they are told to.
#include "runtime/spill/tiered_store.h"

#include <atomic>
#include <cstring>
#include <map>
#include <mutex>

#include "tests/unit/spill/blocks.h"

namespace vhbm {
namespace {

// A medium in memory.
class Drawer : public Medium {
 public:
  [[nodiscard]] const char* name() const override { return "drawer"; }
  [[nodiscard]] unsigned channels() const override { return 3; }
  [[nodiscard]] Result<std::unique_ptr<Channel>> open_channel() override {
    return std::unique_ptr<Channel>(std::make_unique<Hand>(*this));
  }
  [[nodiscard]] Result<Extent> reserve(Bytes size) override {
    std::lock_guard lock(mutex);
    if (bytes.size() >= room) return Status(Errc::tier_full, "the drawer is full");
    bytes[next].resize(size.value);
    return Extent{{next++}, size};
  }
  void release(std::span<const Extent> places) noexcept override {
    std::lock_guard lock(mutex);
    for (const Extent& place : places) bytes.erase(place.offset.value);
  }
  [[nodiscard]] Status settle(std::span<const Extent>) override { return settled; }

  std::mutex mutex;
  std::map<std::uint64_t, ByteVector> bytes;
  std::uint64_t next = 0;
  std::size_t room = 1000;  // pieces
  std::atomic<int> requests_until_failure{1000};
  std::atomic<int> in_flight{0};
  Errc failure = Errc::tier_unreachable;
  Status settled;

 private:
  // Does the last that it was given first.
  class Hand : public Channel {
   public:
    explicit Hand(Drawer& drawer) : drawer_(drawer) {}
    ~Hand() override { drawer_.in_flight -= int(begun_.size()); }
    [[nodiscard]] unsigned depth() const override { return 3; }
    [[nodiscard]] Status begin(Transfer& transfer) override {
      begun_.push_back(&transfer);
      ++drawer_.in_flight;
      return {};
    }
    [[nodiscard]] Result<Finished> finish() override {
      Transfer* transfer = begun_.back();
      begun_.pop_back();
      --drawer_.in_flight;
      if (--drawer_.requests_until_failure < 0)
        return Finished{transfer, Status(drawer_.failure, "the drawer is stuck")};
      std::lock_guard lock(drawer_.mutex);
      std::byte* there = drawer_.bytes.at(transfer->place.offset.value).data();
      std::byte* here = transfer->bytes.data();
      if (transfer->direction == Direction::write)
        std::memcpy(there, here, transfer->bytes.size());
      else
        std::memcpy(here, there, transfer->bytes.size());
      return Finished{transfer, {}};
    }

   private:
    Drawer& drawer_;
    std::vector<Transfer*> begun_;
  };
};

struct Drawers {
  explicit Drawers(int count) {
    std::vector<std::unique_ptr<Medium>> media;
    for (int i = 0; i < count; ++i) {
      auto drawer = std::make_unique<Drawer>();
      drawers.push_back(drawer.get());
      media.push_back(std::move(drawer));
    }
    store = std::make_unique<TieredStore>(std::move(media), CompressionChoice{Codec::lz4, 0});
  }
  std::vector<Drawer*> drawers;
  std::unique_ptr<TieredStore> store;
};

TEST(TieredStore, GivesBackWhatEndsOutOfOrder) {
  const Drawers given(1);
  const ByteVector block = random_bytes(mib(50), 1);
  ASSERT_TRUE(write_one(*given.store, 1, block).ok());
  EXPECT_EQ(given.drawers[0]->bytes.size(), 25u) << "a piece is 2 MiB";
  EXPECT_TRUE(read_one(*given.store, 1, block.size()) == block);
}

TEST(TieredStore, KeepsNoneOfABatchWhenOneRequestFails) {
  const Drawers given(1);
  Drawer& drawer = *given.drawers[0];
  drawer.requests_until_failure = 10;
  const ByteVector first = random_bytes(mib(20), 1), second = random_bytes(mib(20), 2);
  const BlockSource blocks[] = {source(1, first), source(2, second)};
  EXPECT_EQ(given.store->write(blocks).code(), Errc::tier_unreachable);
  EXPECT_EQ(drawer.in_flight, 0);
  EXPECT_TRUE(drawer.bytes.empty());
  EXPECT_EQ(given.store->usage().plain, Bytes{0});
  drawer.requests_until_failure = 1000;
  EXPECT_TRUE(given.store->write(blocks).ok());
}

TEST(TieredStore, KeepsNothingThatDidNotSettle) {
  const Drawers given(1);
  given.drawers[0]->settled = {Errc::tier_full, "no room after all"};
  EXPECT_EQ(write_one(*given.store, 1, random_bytes(mib(4), 1)).code(), Errc::tier_full);
  EXPECT_TRUE(given.drawers[0]->bytes.empty());
}

TEST(TieredStore, GoesToTheNextTierWhenOneIsFullOrFails) {
  const Drawers given(2);
  given.drawers[0]->room = 3;
  const ByteVector small = random_bytes(mib(4), 1), large = random_bytes(mib(6), 2);
  ASSERT_TRUE(write_one(*given.store, 1, small).ok());
  ASSERT_TRUE(write_one(*given.store, 2, large).ok());
  EXPECT_EQ(given.drawers[0]->bytes.size(), 2u);
  EXPECT_EQ(given.drawers[1]->bytes.size(), 3u);
  ByteVector small_back(small.size()), large_back(large.size());
  const BlockTarget targets[] = {{{1}, small_back}, {{2}, large_back}};
  ASSERT_TRUE(given.store->read(targets).ok()) << "one batch from both";
  EXPECT_TRUE(small_back == small && large_back == large);
}

TEST(TieredStore, StaysKeptWhenReadingFails) {
  const Drawers given(1);
  const ByteVector block = random_bytes(mib(10), 1);
  ASSERT_TRUE(write_one(*given.store, 1, block).ok());
  given.drawers[0]->requests_until_failure = 2;
  Status status;
  read_one(*given.store, 1, block.size(), &status);
  EXPECT_EQ(status.code(), Errc::tier_unreachable);
  EXPECT_EQ(given.drawers[0]->in_flight, 0);
  given.drawers[0]->requests_until_failure = 1000;
  EXPECT_TRUE(read_one(*given.store, 1, block.size()) == block);
}

TEST(TieredStore, NeverTakesOnePieceForAnother) {
  const Drawers given(1);
  const ByteVector block = random_bytes(mib(4), 1);
  ASSERT_TRUE(write_one(*given.store, 1, block).ok());
  auto& bytes = given.drawers[0]->bytes;
  std::swap(bytes.begin()->second, bytes.rbegin()->second);
  Status status;
  read_one(*given.store, 1, block.size(), &status);
  EXPECT_EQ(status.code(), Errc::bytes_corrupted) << status.message();
}

TEST(TieredStore, RefusesAKeyTwiceInABatchAndBlocksItDoesNotKeep) {
  const Drawers given(1);
  const ByteVector block = random_bytes(kib(64), 1);
  const BlockSource twice[] = {source(1, block), source(1, block)};
  EXPECT_EQ(given.store->write(twice).code(), Errc::invalid_value);
  Status status;
  read_one(*given.store, 1, block.size(), &status);
  EXPECT_EQ(status.code(), Errc::invalid_value);
}

TEST(TieredStore, WithoutTiersIsFull) {
  TieredStore store({}, {});
  EXPECT_EQ(write_one(store, 1, random_bytes(kib(4), 1)).code(), Errc::tier_full);
}

}  // namespace
}  // namespace vhbm
