// Kernels in a recording, from a source that a test fills.
#include "runtime/recording/kernel_recording.h"

#include <thread>

#include "trace_file.h"

namespace vhbm {
namespace {

using namespace std::chrono_literals;
using recording::Recorder;

// What the source was told to do, and what it has to tell.
struct Script {
  std::mutex mutex;
  std::vector<KernelSpan> spans;
  Status at_start, at_stop;
  std::uint64_t lost = 0;
  int started = 0, stopped = 0;
};

class ScriptedTimes final : public KernelTimes {
 public:
  explicit ScriptedTimes(Script& script) : script_(script) {}
  Status start() override {
    const std::lock_guard lock(script_.mutex);
    ++script_.started;
    return script_.at_start;
  }
  void take(std::vector<KernelSpan>& spans) override {
    const std::lock_guard lock(script_.mutex);
    spans.insert(spans.end(), script_.spans.begin(), script_.spans.end());
    script_.spans.clear();
  }
  std::uint64_t lost() const override {
    const std::lock_guard lock(script_.mutex);
    return script_.lost;
  }
  Status stop() override {
    const std::lock_guard lock(script_.mutex);
    ++script_.stopped;
    return script_.at_stop;
  }

 private:
  Script& script_;
};

class KernelRecordingTest : public recording::TraceFile {
 protected:
  KernelRecordingTest() { kernels_.set_source(std::make_unique<ScriptedTimes>(script_)); }

  Recorder::Wish wish() const {
    Recorder::Wish made;
    made.file = path_;
    made.limit = gib(1);
    made.replace = true;
    return made;
  }
  // One that began `ago`.
  static KernelSpan span(const char* name, std::uint32_t stream, std::chrono::nanoseconds ago = 0ns,
                         std::chrono::nanoseconds length = 1ns) {
    KernelSpan made;
    made.name = name;
    made.stream = stream;
    made.begin_ns = (Recorder::Clock::now().time_since_epoch() - ago).count();
    made.end_ns = made.begin_ns + length.count();
    return made;
  }
  void tell(std::vector<KernelSpan> spans) {
    const std::lock_guard lock(script_.mutex);
    script_.spans.insert(script_.spans.end(), spans.begin(), spans.end());
  }
  std::vector<recording::kernel> recorded() const {
    std::vector<recording::kernel> all;
    for (const recording::Record& record : read().records) {
      if (const auto* one = std::get_if<recording::kernel>(&record.content)) all.push_back(*one);
    }
    return all;
  }

  Script script_;
  KernelRecording kernels_;
  Recorder recorder_;
};

TEST_F(KernelRecordingTest, HasTheKernelsThatRanWhileItRan) {
  Recorder::Wish asked = wish();
  kernels_.join(asked, recorder_, 0);
  EXPECT_EQ(script_.started, 1);
  ASSERT_TRUE(recorder_.start(asked, header()).ok());
  KernelSpan other_device = span("on another device", 7);
  other_device.device = 1;
  tell({span("too early", 7, 1h), span("gemm", 7, 0ns, 5us), other_device, span("rope", 13)});
  recorder_.stop("the test said so");
  EXPECT_EQ(script_.stopped, 1);
  const auto all = recorded();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].name, "gemm");
  EXPECT_EQ(all[0].stream, 7u);
  EXPECT_EQ(all[0].end - all[0].begin, 5000u);
  EXPECT_EQ(all[1].name, "rope");
  EXPECT_TRUE(kernels_.told(recorder_).asked);
  EXPECT_EQ(kernels_.told(recorder_).kernels, 2u);
  EXPECT_EQ(kernels_.told(recorder_).why_not, "");
}

TEST_F(KernelRecordingTest, TellsStreamsOfSeveralContextsApart) {
  Recorder::Wish asked = wish();
  kernels_.join(asked, recorder_, 0);
  ASSERT_TRUE(recorder_.start(asked, header()).ok());
  KernelSpan first = span("one", 7), second = span("two", 7);
  first.context = 5;
  second.context = 3;
  tell({first, second, first});
  recorder_.stop("enough");
  const auto all = recorded();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].stream, 7u);
  EXPECT_EQ(all[1].stream, std::uint64_t{1} << 32 | 7);
  EXPECT_EQ(all[2].stream, 7u);
}

TEST_F(KernelRecordingTest, WritesBetweenWhatComesAtOnce) {
  Recorder small(1 << 21);
  Recorder::Wish asked = wish();
  kernels_.join(asked, small, 0);
  ASSERT_TRUE(small.start(asked, header()).ok());
  const std::string name(500, 'k');
  tell(std::vector<KernelSpan>(20'000, span(name.c_str(), 7)));
  small.stop("enough");
  EXPECT_EQ(recorded().size(), 20'000u);
  EXPECT_EQ(small.progress().left_out, 0u);
}

TEST_F(KernelRecordingTest, GoesWithoutWhereThereAreNone) {
  script_.at_start = Status(Errc::system_error, "a profiler has it");
  Recorder::Wish asked = wish();
  kernels_.join(asked, recorder_, 0);
  ASSERT_TRUE(recorder_.start(asked, header()).ok());
  recorder_.add(recording::Source::device, recording::waits{1, 2});
  recorder_.stop("enough");
  EXPECT_EQ(read().records.size(), 2u);
  EXPECT_EQ(kernels_.told(recorder_).why_not, "a profiler has it");
  EXPECT_EQ(script_.stopped, 0);
}

TEST_F(KernelRecordingTest, SaysWhenTheyWereTakenAway) {
  Recorder::Wish asked = wish();
  kernels_.join(asked, recorder_, 0);
  ASSERT_TRUE(recorder_.start(asked, header()).ok());
  tell({span("gemm", 7)});
  script_.at_stop = Status(Errc::system_error, "a profiler took over");
  script_.lost = 4;
  recorder_.stop("enough");
  EXPECT_EQ(recorded().size(), 1u);
  EXPECT_EQ(kernels_.told(recorder_).why_not, "a profiler took over");
  EXPECT_EQ(kernels_.told(recorder_).lost, 4u);
}

TEST_F(KernelRecordingTest, SwitchesTheSourceOffWhenItsTimeIsOver) {
  Recorder::Wish asked = wish();
  asked.length = 50ms;
  kernels_.join_soon(asked, recorder_, 0);
  EXPECT_EQ(script_.started, 0) << "whoever asks does not wait for the source";
  ASSERT_TRUE(recorder_.start(asked, header()).ok());
  for (int i = 0; i < 1000 && recorder_.is_on(); ++i) {
    tell({span("gemm", 7)});
    std::this_thread::sleep_for(5ms);
  }
  recorder_.stop("too late");
  EXPECT_EQ(recorder_.progress().ended, "its time was over");
  EXPECT_EQ(script_.stopped, script_.started);
}

TEST_F(KernelRecordingTest, StartsSoonOnTheRecordersThread) {
  Recorder::Wish asked = wish();
  kernels_.join_soon(asked, recorder_, 0);
  ASSERT_TRUE(recorder_.start(asked, header()).ok());
  for (int i = 0; i < 1000; ++i) {
    {
      const std::lock_guard lock(script_.mutex);
      if (script_.started != 0) break;
    }
    std::this_thread::sleep_for(5ms);
  }
  tell({span("gemm", 7)});
  recorder_.stop("enough");
  EXPECT_EQ(script_.started, 1);
  EXPECT_EQ(script_.stopped, 1);
  EXPECT_EQ(recorded().size(), 1u);
}

TEST_F(KernelRecordingTest, IsOfOneDeviceAtATime) {
  Recorder::Wish asked = wish(), second = wish();
  Recorder other;
  kernels_.join(asked, recorder_, 0);
  ASSERT_TRUE(recorder_.start(asked, header()).ok());
  kernels_.join(second, other, 1);
  EXPECT_EQ(kernels_.told(other).why_not, "the recording of device 0 has them");
  EXPECT_EQ(second.feed, nullptr);
  tell({span("gemm", 7)});
  recorder_.stop("enough");
  EXPECT_EQ(recorded().size(), 1u);
  EXPECT_EQ(kernels_.told(recorder_).why_not, "");
  // From now on they are to be had again.
  second = wish();
  kernels_.join(second, other, 1);
  EXPECT_EQ(kernels_.told(other).why_not, "");
  kernels_.leave();
  EXPECT_EQ(script_.stopped, 2);
}

TEST(KernelRecordingWithoutSource, SaysSo) {
  KernelRecording kernels;
  Recorder recorder;
  Recorder::Wish asked;
  kernels.join(asked, recorder, 0);
  EXPECT_EQ(asked.feed, nullptr);
  EXPECT_NE(kernels.told(recorder).why_not, "");
}

}  // namespace
}  // namespace vhbm
