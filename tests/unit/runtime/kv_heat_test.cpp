// What looks at block tables find is what the tables say, however they say it; and where a table is
// wrong or gone, nothing is harmed.
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "runtime/kv_heat.h"
#include "runtime/kv_layouts.h"
#include "runtime/region_table.h"
#include "test_gpu.h"

namespace vhbm {
namespace {

constexpr Bytes block = kib(16);
constexpr std::size_t blocks_in_chunk = 128;

constexpr const char* layouts = R"(
server = "the test"
cure = "--larger-blocks"
[[kernel]]
name = "by_table"
form = "table"
keys = "0"
block_bytes = 16384
block_tokens = 16
table = "1"
table_stride = "argument 3"
lengths = "2"
sequences = "argument 4"
[[kernel]]
name = "by_wide_table"
form = "table"
keys = "0"
values = "5"
block_bytes = 16384
block_tokens = 16
table = "1"
table_type = "int64"
table_stride = "argument 3"
lengths = "2"
lengths_are = "last_position"
lines = "6"
sequences = 100000
sequences_at = "7"
[[kernel]]
name = "by_slots"
form = "slots"
keys = "0"
block_bytes = 16384
block_tokens = 16
slots = "1"
sequences = "argument 4"
[[kernel]]
name = "by_pages"
form = "pages"
keys = "0"
block_bytes = 16384
indices = "1"
indptr = "2"
sequences = "argument 4"
[[kernel]]
name = "in_one_piece"
form = "contiguous"
keys = "0"
block_bytes = "argument 3 * 4096"
block_stride = 4194304
sequences = "argument 4"
)";

class HeatOfKv : public PagerTest {
 protected:
  HeatOfKv() : file_(::testing::TempDir() + "kv-heat." + std::to_string(getpid()) + ".toml") {
    std::ofstream(file_) << layouts;
  }
  ~HeatOfKv() override {
    std::filesystem::remove(file_);
    for (const CUdeviceptr one : native_) cuMemFree(one);
  }
  Options with_layouts(std::uint64_t hbm, std::uint64_t host) {
    Options made = options(hbm, host);
    made.kv_layouts = file_;
    return made;
  }
  // Device memory of the driver's own, with this in it.
  template <typename Number>
  CUdeviceptr on_device(const std::vector<Number>& numbers) {
    CUdeviceptr made = 0;
    EXPECT_CUDA(cuMemAlloc(&made, numbers.size() * sizeof(Number)));
    EXPECT_CUDA(cuMemcpyHtoD(made, numbers.data(), numbers.size() * sizeof(Number)));
    native_.push_back(made);
    return made;
  }
  // As the hook does for a kernel of that name with these arguments, each of 8 bytes.
  void launch(const std::string& kernel, std::vector<std::uint64_t> arguments,
              bool captured = false) {
    KvMatch* const match = runtime_->kv_layouts()->match(
        kernel, std::vector<std::uint32_t>(arguments.size(), sizeof(std::uint64_t)));
    ASSERT_NE(match, nullptr);
    std::vector<void*> parameters;
    for (std::uint64_t& one : arguments) parameters.push_back(&one);
    const auto pass = runtime_->gate().pass();
    runtime_->named(DeviceAddress{arguments[0]});
    runtime_->launches(*match, {{parameters.data(), {1, 1, 1}}, stream_, context_, captured});
  }
  // Again and again, until what is in use is told to be this.
  void expect_use(const std::function<void()>& launch, Bytes used, Bytes touched) {
    EXPECT_TRUE(eventually([&] {
      launch();
      return stat_bytes(Stat::kv_used_bytes) == used &&
             stat_bytes(Stat::kv_touched_bytes) == touched;
    })) << stat(Stat::kv_used_bytes)
        << " in " << stat(Stat::kv_touched_bytes) << ", expected " << used.value << " in "
        << touched.value;
  }
  // Of blocks of one cache.
  void expect_blocks(const std::function<void()>& launch, const std::set<std::uint64_t>& blocks) {
    std::set<std::uint64_t> chunks;
    for (const std::uint64_t one : blocks) chunks.insert(one / blocks_in_chunk);
    expect_use(launch, block * blocks.size(), mib(2) * chunks.size());
  }

  const std::string file_;
  std::vector<CUdeviceptr> native_;
};

TEST_F(HeatOfKv, IsThatOfTheBlocksThatATableNames) {
  start(with_layouts(64, 64));
  const DeviceAddress cache = allocate(mib(16));
  // Of three sequences, which hold 33, 16 and no tokens; what is behind is of earlier ones.
  const CUdeviceptr table = on_device<std::int32_t>({5, 900, 130, 7, 131, 8, 9, 10, 1, 2, 3, 4});
  const CUdeviceptr lengths = on_device<std::int32_t>({33, 16, 0});
  expect_blocks(
      [&] {
        launch("by_table", {cache.value, table, lengths, 4, 3});
      },
      {5, 900, 130, 131});
  EXPECT_EQ(stat(Stat::kv_strays), 0u);
  EXPECT_EQ(stat_bytes(Stat::kv_resident_used_bytes), block * 4);
  EXPECT_EQ(stat_bytes(Stat::kv_resident_bytes), mib(16));
}

TEST_F(HeatOfKv, IsToldOfKeysAndValuesThroughLinesPositionsAndACountOnTheDevice) {
  start(with_layouts(64, 64));
  const DeviceAddress keys = allocate(mib(8)), values = allocate(mib(8));
  const CUdeviceptr table = on_device<std::int64_t>({1, 2, 300, 301, 4, 5});
  const CUdeviceptr positions = on_device<std::int32_t>({16, 0, 31});
  const CUdeviceptr lines = on_device<std::int32_t>({2, 0, 1}),
                    count = on_device<std::int32_t>({2});
  // The first is in line 2 and has 17 tokens, the second in line 0 and has one.
  expect_use(
      [&] {
        launch("by_wide_table", {keys.value, table, positions, 2, 0, values.value, lines, count});
      },
      block * 6, mib(2) * 2);
}

TEST_F(HeatOfKv, IsToldByPagesSlotsAndPieces) {
  start(with_layouts(64, 64));
  const DeviceAddress cache = allocate(mib(16));
  const CUdeviceptr indices = on_device<std::int32_t>({7, 140, 9, 1000});
  const CUdeviceptr indptr = on_device<std::int32_t>({0, 2, 3});
  expect_blocks([&] { launch("by_pages", {cache.value, indices, indptr, 0, 2}); }, {7, 140, 9});

  const DeviceAddress pieces = allocate(mib(16));
  expect_use(
      [&] {
        launch("in_one_piece", {pieces.value, 0, 0, 3, 2});
      },
      block * 3 + Bytes{2 * 3 * 4096}, mib(2) * 2 + mib(2) * 2);
}

TEST_F(HeatOfKv, OfWhatIsWrittenIsNotAllThatIsUsed) {
  start(with_layouts(64, 64));
  const DeviceAddress cache = allocate(mib(16));
  const CUdeviceptr slots = on_device<std::int64_t>({16 * 3 + 5, -1, 16 * 400});
  EXPECT_TRUE(eventually([&] {
    launch("by_slots", {cache.value, slots, 0, 0, 3});
    return stat(Stat::kv_looks) >= 3;
  }));
  EXPECT_EQ(stat(Stat::kv_used_bytes), 0u) << "nobody has said what is read";
  const CUdeviceptr table = on_device<std::int32_t>({1});
  const CUdeviceptr lengths = on_device<std::int32_t>({1});
  expect_blocks(
      [&] {
        launch("by_slots", {cache.value, slots, 0, 0, 3});
        launch("by_table", {cache.value, table, lengths, 1, 1});
      },
      {3, 400, 1});
  EXPECT_EQ(stat(Stat::kv_strays), 0u);
}

TEST_F(HeatOfKv, IsNotHarmedByGarbage) {
  start(with_layouts(64, 64));
  const DeviceAddress cache = allocate(mib(4));
  fill(cache, mib(4), 1);
  const CUdeviceptr table =
      on_device<std::int32_t>({-1, INT32_MIN, INT32_MAX, 256, 255, 1 << 20, 0x7fffff00, 3});
  const CUdeviceptr lengths = on_device<std::int32_t>({INT32_MAX, INT32_MIN, -1, 1 << 30});
  EXPECT_TRUE(eventually([&] {
    launch("by_table", {cache.value, table, lengths, 8, 4});
    // Where the table is said to be longer, and there more sequences, than memory.
    launch("by_table", {cache.value, table, lengths, INT32_MAX, INT32_MAX});
    launch("by_table", {cache.value, cache.value + mib(4).value - 4, lengths, 8, 4});
    launch("by_table", {cache.value, 12345, lengths, 8, 4});
    launch("by_table", {cache.value, table + 2, lengths, 8, 4});
    launch("by_table", {cache.value + mib(4).value - 100, table, lengths, 8, 4});
    launch("by_table", {cache.value, table, lengths, static_cast<std::uint64_t>(-1), 4});
    launch("by_pages", {cache.value, table, lengths, 0, 1000});
    launch("in_one_piece", {cache.value, 0, 0, 1 << 30, 4});
    return stat(Stat::kv_looks) >= 20;
  }));
  EXPECT_CUDA(cuStreamSynchronize(stream_));
  EXPECT_GT(stat(Stat::kv_strays), 0u);
  EXPECT_TRUE(holds(cache, mib(4), 1));
  EXPECT_LE(stat_bytes(Stat::kv_used_bytes), mib(4));
}

TEST_F(HeatOfKv, IsNoMoreOfALayoutWhoseBlockNumbersAreNone) {
  start(with_layouts(64, 64));
  const DeviceAddress cache = allocate(mib(4));
  std::vector<std::int32_t> nonsense(400);
  for (std::size_t i = 0; i < nonsense.size(); ++i) nonsense[i] = static_cast<int>(i * 7919 + 300);
  const CUdeviceptr table = on_device(nonsense), lengths = on_device<std::int32_t>({400 * 16});
  KvMatch* const match = runtime_->kv_layouts()->match("by_table", {8, 8, 8, 8, 8});
  EXPECT_TRUE(eventually([&] {
    launch("by_table", {cache.value, table, lengths, 400, 1});
    return match->off.load();
  }));
  const std::uint64_t before = match->probes;
  for (int i = 0; i < 10; ++i) launch("by_table", {cache.value, table, lengths, 400, 1}, true);
  EXPECT_EQ(match->probes, before);
}

// Graphs outlive what they were captured with, where an application gives their nodes other
// arguments and frees what they had.
class FreedTable : public HeatOfKv, public ::testing::WithParamInterface<bool> {};

TEST_P(FreedTable, IsNotReadByALookThatWasCaptured) {
  start(with_layouts(64, 64));
  const DeviceAddress cache = allocate(mib(16));
  const bool is_region = GetParam();
  CUdeviceptr table = 0;
  const std::int32_t block_number = 6;
  if (is_region) {
    table = allocate(mib(2)).value;
    EXPECT_CUDA(cuMemcpyHtoD(table, &block_number, sizeof block_number));
  } else {
    EXPECT_CUDA(cuMemAlloc(&table, 4096));
    EXPECT_CUDA(cuMemcpyHtoD(table, &block_number, sizeof block_number));
  }
  const CUdeviceptr lengths = on_device<std::int32_t>({1});
  CUgraph graph = nullptr;
  CUgraphExec executable = nullptr;
  runtime_->capture_began();
  ASSERT_CUDA(cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_GLOBAL));
  launch("by_table", {cache.value, table, lengths, 1, 1}, true);
  ASSERT_CUDA(cuStreamEndCapture(stream_, &graph));
  runtime_->capture_ended();
  ASSERT_CUDA(cuGraphInstantiate(&executable, graph, 0));
  const auto replay = [&] {
    const auto pass = runtime_->gate().pass();
    runtime_->named(cache);
    EXPECT_CUDA(cuGraphLaunch(executable, stream_));
    EXPECT_CUDA(cuStreamSynchronize(stream_));
  };
  expect_blocks(replay, {6});
  if (is_region) {
    ASSERT_TRUE(runtime_->free({table}).ok());
  } else {
    runtime_->native_goes({table});
    ASSERT_CUDA(cuMemFree(table));
  }
  const std::uint64_t looks = stat(Stat::kv_looks);
  for (int i = 0; i < 50; ++i) {
    replay();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_LE(stat(Stat::kv_looks), looks + 1) << "one more may not have been counted yet";
  ASSERT_CUDA(cuGraphExecDestroy(executable));
  ASSERT_CUDA(cuGraphDestroy(graph));
}

INSTANTIATE_TEST_SUITE_P(Each, FreedTable, ::testing::Bool());

// A pool of which a fifth fits, and a few blocks of it in use: they come, and nothing else moves.
TEST_F(HeatOfKv, MovesOnlyWhatIsInUse) {
  Options made = with_layouts(12, 128);
  made.stall_limit = Percent{90};
  start(made);
  const DeviceAddress cache = allocate(mib(60));
  fill(cache, mib(60), 1);
  // A block of each of three chunks that cannot all be in HBM by chance.
  const CUdeviceptr table = on_device<std::int32_t>(
      {29 * blocks_in_chunk + 3, 27 * blocks_in_chunk + 9, 25 * blocks_in_chunk});
  const CUdeviceptr lengths = on_device<std::int32_t>({48});
  EXPECT_TRUE(eventually([&] {
    launch("by_table", {cache.value, table, lengths, 3, 1});
    return stat_bytes(Stat::kv_used_bytes) == block * 3 &&
           stat_bytes(Stat::kv_resident_used_bytes) == block * 3;
  })) << stat(Stat::kv_used_bytes)
      << " of which " << stat(Stat::kv_resident_used_bytes);
  const std::uint64_t moved = stat(Stat::promoted_bytes);
  for (int i = 0; i < 200; ++i) {
    launch("by_table", {cache.value, table, lengths, 3, 1});
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(stat(Stat::promoted_bytes), moved) << "what is in use is there";
  EXPECT_LE(moved, mib(2).value * 8);
  EXPECT_TRUE(holds(cache, mib(60), 1));
}

// One block of each chunk is in use: they do not fit, though their blocks would, and what cures it
// is told.
TEST_F(HeatOfKv, TellsWhatWouldCureThatItIsScattered) {
  start(with_layouts(12, 128));
  const DeviceAddress cache = allocate(mib(60));
  std::vector<std::int32_t> one_of_each;
  for (int i = 0; i < 30; ++i) one_of_each.push_back(static_cast<int>(i * blocks_in_chunk + i));
  const CUdeviceptr table = on_device(one_of_each), lengths = on_device<std::int32_t>({30 * 16});
  EXPECT_TRUE(eventually([&] {
    launch("by_table", {cache.value, table, lengths, 30, 1});
    return stat(Stat::kv_scattered) == 1;
  }));
  EXPECT_TRUE(eventually([&] {
    launch("by_table", {cache.value, table, lengths, 30, 1});
    const auto live = read_live_regions(state_dir_);
    return !live.empty() && live[0].advice == "the test: --larger-blocks" &&
           live[0].rows[0].kv_touched == mib(60).value;
  }));
}

TEST_F(HeatOfKv, IsNotReadFromMemoryThatTheDriverDoesNotTellOf) {
  const Driver whole = driver_;
  const auto look_at_a_table = [this] {
    start(with_layouts(64, 64));
    const DeviceAddress cache = allocate(mib(16));
    const CUdeviceptr table = on_device<std::int32_t>({5, 900}), lengths = on_device<int>({32});
    launch("by_table", {cache.value, table, lengths, 2, 1});
    const std::vector<std::uint32_t> sizes(5, sizeof(std::uint64_t));
    const std::uint64_t refusals =
        runtime_->kv_layouts()->match("by_table", sizes)->refusals.load();
    // Who calls the driver is gone before it becomes another one.
    finish();
    return refusals;
  };
  EXPECT_EQ(look_at_a_table(), 0u);
  driver_.cuPointerGetAttribute = [](void*, CUpointer_attribute, CUdeviceptr) {
    return CUDA_ERROR_INVALID_VALUE;
  };
  EXPECT_EQ(look_at_a_table(), 1u);
  driver_ = whole;
  driver_.cuMemGetAddressRange_v2 = [](CUdeviceptr*, std::size_t*, CUdeviceptr) {
    return CUDA_ERROR_NOT_FOUND;
  };
  EXPECT_EQ(look_at_a_table(), 1u);
  driver_ = whole;
  driver_.cuMemGetAddressRange_v2 = nullptr;
  EXPECT_EQ(look_at_a_table(), 1u);
}

TEST_F(HeatOfKv, IsNothingWhereNoLayoutIsGiven) {
  start(64, 64);
  EXPECT_EQ(runtime_->kv_layouts(), nullptr);
  Options wrong = options(64, 64);
  runtime_.reset();
  wrong.kv_layouts = "/nonexistent.toml";
  start(wrong);
  EXPECT_EQ(runtime_->kv_layouts(), nullptr);
}

}  // namespace
}  // namespace vhbm
