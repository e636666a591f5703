// What orders do to a process, and what is said of those that are not accepted.
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "runtime/share_socket.h"
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
            "command = \"slep\" is not accepted: expected status, sleep, wake, hold, tag, set, kv or "
            "off");
  EXPECT_EQ(error("{\"command\":"), "the request is no JSON object");
  EXPECT_EQ(error(R"({"command":7})"),
            "command = 7 is not accepted: expected status, sleep, wake, hold, tag, set, kv or off");
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
