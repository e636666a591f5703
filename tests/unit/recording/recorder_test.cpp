// The recorder: what it writes, what it leaves out, and when it ends.
#include "runtime/recording/recorder.h"

#include <thread>

#include "trace_file.h"

namespace vhbm::recording {
namespace {

using namespace std::chrono_literals;

class Recording : public TraceFile {
 protected:
  Recorder::Wish wish(Bytes limit = gib(1)) const { return {path_, limit, 0ns, true, {}}; }
  static uses some_uses(std::size_t count) {
    return {1, 0, std::vector<std::uint64_t>(count, packed_use(1, 7))};
  }
  template <typename Condition>
  static bool eventually(Condition&& condition) {
    for (int i = 0; i < 2000 && !condition(); ++i) std::this_thread::sleep_for(5ms);
    return condition();
  }
};

TEST_F(Recording, HasWhatWasAddedAndSaysWhyItEnded) {
  Recorder recorder;
  recorder.add(Source::device, waits{1, 1});  // before it begins: not written
  ASSERT_TRUE(recorder.start(wish(), header()).ok());
  EXPECT_TRUE(recorder.is_on());
  recorder.add(Source::device, some_uses(3));
  recorder.add(Source::kernels, kernel{"gemm", 1, 5, 9});
  recorder.stop("the test said so");
  EXPECT_FALSE(recorder.is_on());
  recorder.add(Source::device, waits{2, 2});
  const Read made = read();
  ASSERT_TRUE(made.status.ok()) << made.status.message();
  ASSERT_EQ(made.records.size(), 3u);
  EXPECT_EQ(std::get<uses>(made.records[0].content), some_uses(3));
  EXPECT_EQ(std::get<kernel>(made.records[1].content).name, "gemm");
  EXPECT_EQ(std::get<end>(made.records[2].content).why, "the test said so");
  EXPECT_EQ(made.cut_off, std::nullopt);
  const auto progress = recorder.progress();
  EXPECT_EQ(progress.records, 2u);
  EXPECT_EQ(progress.uses, 3u);
  EXPECT_EQ(progress.left_out, 0u);
  EXPECT_EQ(progress.ended, "the test said so");
  EXPECT_EQ(progress.written.value, content().size());
}

TEST_F(Recording, LeavesOutWhatFindsNoRoomAndSaysSo) {
  Recorder recorder(4096);
  ASSERT_TRUE(recorder.start(wish(), header()).ok());
  // Each takes an eighth of the ring, and the writer looks a few times a second.
  constexpr std::uint64_t added = 400;
  const auto begin = Recorder::Clock::now();
  for (std::uint64_t i = 0; i < added; ++i) recorder.add(Source::device, some_uses(500));
  EXPECT_LT(Recorder::Clock::now() - begin, 1s) << "whoever records must not wait";
  recorder.stop("enough");
  const auto progress = recorder.progress();
  EXPECT_GT(progress.left_out, 0u);
  EXPECT_EQ(progress.records + progress.left_out, added);
  const Read made = read();
  ASSERT_TRUE(made.status.ok());
  std::uint64_t written = 0, missing = 0, missing_uses = 0;
  for (const Record& record : made.records) {
    if (std::holds_alternative<uses>(record.content)) ++written;
    if (const auto* one = std::get_if<left_out>(&record.content)) {
      missing += one->records;
      missing_uses += one->uses;
    }
  }
  EXPECT_EQ(written, progress.records);
  EXPECT_EQ(missing, progress.left_out);
  EXPECT_EQ(missing_uses, missing * 500);
}

TEST_F(Recording, EndsAtItsLimit) {
  Recorder recorder;
  ASSERT_TRUE(recorder.start(wish(kib(64)), header()).ok());
  std::uint64_t noise = 1;
  ASSERT_TRUE(eventually([&] {
    uses one;
    for (int i = 0; i < 2000; ++i) {
      noise = noise * 6364136223846793005u + 1442695040888963407u;
      one.list.push_back(noise >> 30);
    }
    recorder.add(Source::device, one);
    return !recorder.is_on();
  }));
  EXPECT_LE(content().size(), kib(64).value);
  const Read made = read();
  ASSERT_TRUE(made.status.ok());
  ASSERT_FALSE(made.records.empty());
  EXPECT_EQ(std::get<end>(made.records.back().content).why, "the limit of its size was reached");
  EXPECT_EQ(recorder.progress().ended, "the limit of its size was reached");
}

TEST_F(Recording, EndsAfterItsTimeAndBeginsAgain) {
  Recorder recorder;
  Recorder::Wish short_one = wish();
  short_one.length = 1ms;
  ASSERT_TRUE(recorder.start(short_one, header()).ok());
  recorder.add(Source::device, waits{1, 2});
  ASSERT_TRUE(eventually([&] { return !recorder.is_on(); }));
  ASSERT_TRUE(eventually([&] { return !recorder.progress().ended.empty(); }));
  EXPECT_EQ(recorder.progress().ended, "its time was over");
  ASSERT_TRUE(recorder.start(wish(), header()).ok());
  recorder.add(Source::device, waits{3, 4});
  recorder.stop("again");
  const Read made = read();
  ASSERT_EQ(made.records.size(), 2u);
  EXPECT_EQ(std::get<waits>(made.records[0].content), (waits{3, 4}));
}

TEST_F(Recording, ThatCannotWriteSaysWhere) {
  Recorder recorder;
  Recorder::Wish elsewhere = wish();
  elsewhere.file = "/nowhere/at/all";
  const Status refused = recorder.start(elsewhere, header());
  EXPECT_EQ(refused.code(), Errc::system_error);
  EXPECT_EQ(refused.message(), "/nowhere/at/all: cannot be written: No such file or directory");
  EXPECT_FALSE(recorder.is_on());
}

// What a killed process leaves: all that is older than a moment.
TEST_F(Recording, IsInTheFileAMomentLater) {
  Recorder recorder;
  ASSERT_TRUE(recorder.start(wish(), header()).ok());
  recorder.add(Source::device, waits{7, 8});
  ASSERT_TRUE(eventually([&] { return read().records.size() == 1; }));
  const Read made = read();
  EXPECT_TRUE(made.status.ok());
  ASSERT_TRUE(made.cut_off);
  EXPECT_NE(made.cut_off->find("did not end"), std::string::npos);
}

}  // namespace
}  // namespace vhbm::recording
