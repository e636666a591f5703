// What orders do to a process, and what is said of those that are not accepted.
#include <unistd.h>

#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "runtime/recording/trace_reader.h"
#include "runtime/share_socket.h"
#include "runtime/sleep_state.h"
#include "test_gpu.h"

namespace vhbm {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

class Ordered : public PagerTest {
 protected:
  Json ask(const std::string& request) {
    const auto socket =
        ShareSocket::connect(state_dir_, std::to_string(getpid()) + ".control", 10s);
    if (!socket.ok() || !socket->send((request + "\n").data(), request.size() + 1)) return {};
    std::string line;
    for (char byte = 0; socket->receive(&byte, 1) && byte != '\n';) line += byte;
    return Json::parse(line, nullptr, false);
  }
  std::string error(const std::string& request) { return ask(request).value("error", ""); }
};

TEST_F(Ordered, SleepsAndWakes) {
  start(64, 64);
  const DeviceAddress region = allocate(mib(8));
  fill(region, mib(8), 1);
  EXPECT_EQ(ask("status").value("state", ""), "awake");
  const Json slept = ask(R"({"command":"sleep","patience_ms":5000})");
  EXPECT_EQ(slept.value("bytes", 0u), mib(8).value) << slept;
  EXPECT_EQ(ask("status").value("state", ""), "asleep");
  EXPECT_EQ(ask("wake").value("state", ""), "awake");
  EXPECT_TRUE(holds(region, mib(8), 1));
}

TEST_F(Ordered, SaysWhatIsAccepted) {
  start(64, 64);
  (void)allocate(mib(8));
  EXPECT_EQ(error("slep"),
            "command = \"slep\" is not accepted: expected status, sleep, wake, hold, tag, set, "
            "record, recording, kv or off");
  EXPECT_EQ(error("{\"command\":"), "the request is no JSON object");
  EXPECT_EQ(error(R"({"command":7})"),
            "command = 7 is not accepted: expected status, sleep, wake, hold, tag, set, record, "
            "recording, kv or off");
  EXPECT_EQ(error(R"({"command":"wake","now":1})"),
            "the key \"now\" is not known: wake accepts none");
  EXPECT_EQ(error(R"({"command":"sleep","patience_ms":-1})"),
            "patience_ms = -1 is not accepted: expected 0 to 3600000 milliseconds");
  EXPECT_EQ(error(R"({"command":"tag","id":1,"tag":"blue"})"),
            "tag = \"blue\" is not accepted: expected other, weights, kv, workspace or none");
  EXPECT_EQ(error(R"({"command":"hold"})"),
            "no region is named: expected id, address, or min_size and max_size");
  EXPECT_EQ(error(R"({"command":"hold","id":99})"), "no live region is meant by that");
  EXPECT_EQ(error(R"({"command":"hold","address":"0xz"})"),
            "address = \"0xz\" is not accepted: expected an address such as \"0x7f0000200000\"");
  EXPECT_EQ(error(R"({"command":"set","option":"hbm_limit","value":"lots"})"),
            "hbm_limit = \"lots\" is not accepted: expected a size such as 8GiB, 512MiB or 4096 "
            "(bytes), a share such as 75%, or auto");
  EXPECT_NE(error(R"({"command":"set","option":"policy","value":"lru"})")
                .find("option = \"policy\" cannot change while a process runs: expected hbm_limit"),
            std::string::npos);
}

// Of a process as it works: what is used, what moves, which limits hold.
TEST_F(Ordered, RecordsWhatIsUsedAndMoved) {
  start(32, 64);
  const DeviceAddress first = allocate(mib(24)), second = allocate(mib(24));
  fill(first, mib(24), 1);
  const std::string file = state_dir_ + "/made.vhbm";
  const std::string record = R"({"command":"record","file":")" + file + R"("})";
  const Json begun = ask(record);
  EXPECT_TRUE(begun.value("on", false)) << begun;
  EXPECT_NE(error(record).find("it is recorded already, into " + file), std::string::npos);
  ASSERT_TRUE(ask(R"({"command":"set","option":"hbm_limit","value":"16MiB"})").value("ok", false));
  EXPECT_TRUE(eventually([&] { return stat_bytes(Stat::hbm_bytes) <= mib(16); }));
  ASSERT_TRUE(runtime_->free(second).ok());
  std::erase(allocated_, second);
  ASSERT_TRUE(use_until(first, [&] { return ask("recording").value("uses", 0) > 3; }));
  const Json ended = ask(R"({"command":"recording","end":true})");
  EXPECT_FALSE(ended.value("on", true));
  EXPECT_EQ(ended.value("ended", ""), "it was told to end");
  EXPECT_EQ(ended.value("left_out", 1), 0);

  auto reader = recording::TraceReader::open(file);
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  EXPECT_EQ(reader->header().pid, getpid());
  EXPECT_EQ(reader->header().hbm_limit, mib(32));
  EXPECT_EQ(reader->header().option("policy"), "lru");
  std::map<std::string, int> kinds;
  std::uint64_t uses = 0, left = 0;
  const Status read = reader->read([&](recording::Record& one) {
    ++kinds[recording::kind_names[one.content.index()]];
    if (const auto* used = std::get_if<recording::uses>(&one.content)) uses += used->list.size();
    if (const auto* flip = std::get_if<recording::flip>(&one.content)) left += flip->left.size();
    if (const auto* option = std::get_if<recording::option>(&one.content)) {
      EXPECT_EQ(option->name + " " + option->value, "hbm_limit 16MiB");
    }
    return std::string();
  });
  EXPECT_TRUE(read.ok()) << read.message();
  EXPECT_EQ(reader->cut_off(), std::nullopt);
  EXPECT_EQ(uses, ended.value("uses", std::uint64_t{0}));
  EXPECT_EQ(kinds["region"], 2);
  EXPECT_EQ(kinds["region_gone"], 1);
  EXPECT_EQ(kinds["option"], 1);
  EXPECT_GE(kinds["limits"], 2);
  EXPECT_GT(left, 0u);
  EXPECT_EQ(kinds["end"], 1);
}

TEST_F(Ordered, SleepsAreInARecording) {
  start(64, 64);
  fill(allocate(mib(8)), mib(8), 1);
  const std::string file = state_dir_ + "/slept.vhbm";
  ASSERT_TRUE(ask(R"({"command":"record","file":")" + file + R"("})").value("ok", false));
  ASSERT_TRUE(ask("sleep").value("ok", false));
  // The pager looks at it in one of its rounds.
  std::this_thread::sleep_for(100ms);
  ASSERT_TRUE(ask("wake").value("ok", false));
  EXPECT_TRUE(ask(R"({"command":"recording","end":true})").value("ok", false));
  auto reader = recording::TraceReader::open(file);
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  std::size_t left = 0;
  bool slept = false;
  ASSERT_TRUE(reader
                  ->read([&](recording::Record& one) {
                    if (const auto* flip = std::get_if<recording::flip>(&one.content)) {
                      const auto by_sleep = static_cast<std::uint64_t>(recording::Cause::sleep);
                      if (flip->cause == by_sleep) left += flip->left.size();
                    }
                    const auto* state = std::get_if<recording::sleep>(&one.content);
                    const auto asleep = static_cast<std::uint64_t>(SleepState::asleep);
                    slept = slept || (state != nullptr && state->state == asleep);
                    return std::string();
                  })
                  .ok());
  EXPECT_EQ(left, 4u);
  EXPECT_TRUE(slept);
}

TEST_F(Ordered, ARecordingThatCannotBeIsRefused) {
  start(64, 64);
  EXPECT_EQ(error(R"({"command":"record"})"), "file is missing: expected an absolute path");
  EXPECT_EQ(error(R"({"command":"record","file":"here"})"),
            "file = \"here\" is not accepted: expected an absolute path");
  EXPECT_EQ(error(R"({"command":"record","file":"/nowhere/x"})"),
            "/nowhere/x: cannot be written: No such file or directory");
  EXPECT_EQ(error(R"({"command":"record","file":"/tmp/x","limit":"1KiB"})"),
            "limit = \"1KiB\" is not accepted: expected a size of at least 64KiB");
  EXPECT_EQ(error(R"({"command":"record","file":"/tmp/x","length_ms":-1})"),
            "length_ms = -1 is not accepted: expected 0 to 3600000 milliseconds");
  EXPECT_EQ(error(R"({"command":"record","file":"/tmp/x","replace":"yes"})"),
            "replace = \"yes\" is not accepted: expected true or false");
  EXPECT_EQ(error(R"({"command":"record","file":"/tmp/x","device":3})"),
            "device = 3 is not accepted: expected 0");
  EXPECT_EQ(error(R"({"command":"record","file":"/tmp/x","speed":1})"),
            "the key \"speed\" is not known: record accepts file limit length_ms replace kernels "
            "device");
  EXPECT_EQ(error(R"({"command":"record","file":"/tmp/x","kernels":7})"),
            "kernels = 7 is not accepted: expected true or false");
  EXPECT_FALSE(ask("recording").value("on", true));
}

TEST_F(Ordered, ARecordingGoesWithoutKernelsWhereThereAreNoneAndSaysWhy) {
  start(64, 64);
  const std::string file = state_dir_ + "/no_kernels.vhbm";
  const Json began = ask(R"({"command":"record","kernels":true,"file":")" + file + R"("})");
  EXPECT_TRUE(began.value("ok", false)) << began;
  EXPECT_TRUE(began.value("on", false)) << began;
  EXPECT_EQ(began.value("no_kernels", ""), "this process has no source of kernel times");
  const Json ended = ask(R"({"command":"recording","end":true})");
  EXPECT_EQ(ended.value("kernels", 1), 0) << ended;
  EXPECT_FALSE(ask(R"({"command":"record","replace":true,"file":")" + file + R"("})")
                   .contains("no_kernels"));
}

TEST_F(Ordered, ALowerLimitMakesChunksLeaveAndAHigherOneLetsThemBack) {
  start(32, 64);
  const DeviceAddress region = allocate(mib(24));
  fill(region, mib(24), 2);
  ASSERT_TRUE(ask(R"({"command":"set","option":"hbm_limit","value":"16MiB"})").value("ok", false));
  EXPECT_TRUE(eventually([&] { return stat_bytes(Stat::hbm_bytes) <= mib(16); }));
  EXPECT_EQ(stat_bytes(Stat::hbm_limit), mib(16));
  EXPECT_EQ(runtime_->memory_info(device_).total, mib(32)) << "what it was told holds";
  ASSERT_TRUE(ask(R"({"command":"set","option":"hbm_limit","value":"48MiB"})").value("ok", false));
  EXPECT_TRUE(use_until(region, [&] { return stat_bytes(Stat::resident_bytes) == mib(24); }));
  EXPECT_TRUE(holds(region, mib(24), 2));
}

TEST_F(Ordered, TheHostsLimitIsRaised) {
  start(16, 4);
  EXPECT_FALSE(runtime_->allocate(mib(24)).ok());
  ASSERT_TRUE(ask(R"({"command":"set","option":"host_limit","value":"32MiB"})").value("ok", false));
  const DeviceAddress region = allocate(mib(24));
  fill(region, mib(24), 3);
  EXPECT_TRUE(holds(region, mib(24), 3));
}

TEST_F(Ordered, HeldRegionsStayThroughASleep) {
  start(64, 64);
  const DeviceAddress held = allocate(mib(4)), other = allocate(mib(8));
  fill(held, mib(4), 1);
  fill(other, mib(8), 2);
  const Json answer = ask(R"({"command":"hold","max_size":"4MiB"})");
  EXPECT_EQ(answer.value("regions", 0), 1);
  EXPECT_EQ(ask("sleep").value("stayed_bytes", 0u), mib(4).value);
  EXPECT_EQ(ask(R"({"command":"hold","max_size":"4MiB","held":false})").value("regions", 0), 1);
  EXPECT_EQ(ask("wake").value("ok", false), true);
  EXPECT_EQ(ask("sleep").value("stayed_bytes", 1u), 0u);
  EXPECT_TRUE(holds(held, mib(4), 1));
  EXPECT_TRUE(holds(other, mib(8), 2));
}

TEST_F(Ordered, OffWakesAProcessThatSleeps) {
  start(64, 64);
  const DeviceAddress region = allocate(mib(8));
  fill(region, mib(8), 1);
  ASSERT_TRUE(ask(R"({"command":"sleep","hold_ms":60000})").value("ok", false));
  EXPECT_TRUE(ask("off").value("frozen", false));
  EXPECT_TRUE(holds(region, mib(8), 1));
  EXPECT_EQ(error("sleep"), "nothing moves any more in this process");
}

}  // namespace
}  // namespace vhbm
