// The store over a real server: what it keeps, and what a slow, stopped, killed, emptied, full,
// strange or unwilling server means.
#include "runtime/spill/remote.h"

#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <fstream>

#include "runtime/spill/disk.h"
#include "runtime/spill/tiered_store.h"
#include "tests/unit/spill/redis_server.h"

namespace vhbm {
namespace {

using std::chrono::milliseconds;

std::unique_ptr<TieredStore> store_on(const RemoteSettings& settings,
                                      CompressionChoice compression = {}) {
  std::vector<std::unique_ptr<Medium>> media;
  media.push_back(std::make_unique<Remote>(settings));
  return std::make_unique<TieredStore>(std::move(media), compression);
}

class RemoteStore : public testing::Test {
 protected:
  void SetUp() override {
    if (!RedisServer::is_installed()) GTEST_SKIP() << "neither valkey-server nor redis-server";
  }
};

TEST_F(RemoteStore, GivesBackWhatItWasGivenAndLeavesNothing) {
  const RedisServer server;
  for (const CompressionChoice compression :
       {CompressionChoice{}, CompressionChoice{Codec::zstd, 1}}) {
    const auto store = store_on(server.settings(), compression);
    const ByteVector large = random_bytes(mib(20), 1), odd = smooth_bytes({3'000'001}, 2);
    const BlockSource sources[] = {source(1, large), source(2, odd)};
    const Status written = store->write(sources);
    ASSERT_TRUE(written.ok()) << written.message();
    EXPECT_EQ(server.key_count(), 12) << "a piece is 2 MiB";
    EXPECT_TRUE(read_one(*store, 1, large.size()) == large);
    EXPECT_TRUE(read_one(*store, 2, odd.size()) == odd);
    drop_one(*store, 1);
    EXPECT_EQ(server.key_count(), 2);
  }
  EXPECT_EQ(server.key_count(), 0) << "the stores are gone";
}

TEST_F(RemoteStore, GivesItsPasswordOverTheNetwork) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  const int placeholder = socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_EQ(bind(placeholder, reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(getsockname(placeholder, reinterpret_cast<sockaddr*>(&address), &length), 0);
  close(placeholder);
  const std::uint16_t port = ntohs(address.sin_port);
  const RedisServer server({"--port", std::to_string(port), "--requirepass", "open sesame"});

  const Folder folder;
  RemoteSettings settings;
  settings.address = *parse_remote_address(fmt::format("redis://127.0.0.1:{}/3", port));
  settings.password_file = folder.path() + "/password";
  const ByteVector block = random_bytes(mib(4), 1);
  std::ofstream(settings.password_file) << "open says me\n";
  const auto store = store_on(settings);
  Status status = write_one(*store, 1, block);
  EXPECT_EQ(status.code(), Errc::tier_unreachable);
  EXPECT_NE(status.message().find("WRONGPASS"), std::string::npos) << status.message();
  EXPECT_EQ(status.message().find("says me"), std::string::npos) << "the password is told";

  std::ofstream(settings.password_file) << "open sesame\n";
  status = write_one(*store, 1, block);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(read_one(*store, 1, block.size()) == block);
}

TEST_F(RemoteStore, SaysThatAnEmptiedServerLostTheBytes) {
  RedisServer server;
  const auto store = store_on(server.settings());
  const ByteVector block = random_bytes(mib(4), 1);
  ASSERT_TRUE(write_one(*store, 1, block).ok());
  server.kill();
  Status status;
  read_one(*store, 1, block.size(), &status);
  EXPECT_EQ(status.code(), Errc::tier_unreachable) << status.message();
  server.start();
  read_one(*store, 1, block.size(), &status);
  EXPECT_EQ(status.code(), Errc::bytes_lost) << status.message();
  ASSERT_TRUE(write_one(*store, 1, block).ok()) << "it takes bytes again";
  EXPECT_TRUE(read_one(*store, 1, block.size()) == block);
}

TEST_F(RemoteStore, KeepsNoneOfABatchDuringWhichTheServerWasRestarted) {
  RedisServer server;
  const auto store = store_on(server.settings());
  const ByteVector block = random_bytes(mib(160), 1);
  Status status;
  std::thread writing([&] { status = write_one(*store, 1, block); });
  // In the middle: more keys are there than are on their way at once, and more are to come.
  EXPECT_TRUE(comes_true([&] { return server.key_count() > 20; }));
  server.kill();
  server.start();
  writing.join();
  EXPECT_EQ(status.code(), Errc::tier_unreachable) << status.message();
  EXPECT_EQ(store->usage().plain, Bytes{0});
  EXPECT_EQ(server.key_count(), 0);
}

TEST_F(RemoteStore, ReadsOnWhereTheServerOnlyEndedTheConnections) {
  const RedisServer server;
  const auto store = store_on(server.settings());
  const ByteVector block = random_bytes(mib(128), 1);
  ASSERT_TRUE(write_one(*store, 1, block).ok());
  std::atomic<bool> done{false};
  int cuts = 0;
  std::thread cutting([&] {
    while (cuts < 2 && !done) {
      const auto reply = server.ask({"CLIENT", "KILL", "TYPE", "normal"});
      if (reply.ok() && (*reply)->integer > 0) ++cuts;
    }
  });
  Status status;
  EXPECT_TRUE(read_one(*store, 1, block.size(), &status) == block) << status.message();
  done = true;
  cutting.join();
  EXPECT_GT(cuts, 0);
}

TEST_F(RemoteStore, WaitsForAStoppedServerNoLongerThanItMay) {
  const RedisServer server;
  RemoteSettings settings = server.settings();
  settings.timeout = milliseconds(150);
  const auto store = store_on(settings);
  const ByteVector kept = random_bytes(mib(4), 1), more = random_bytes(mib(64), 2);
  ASSERT_TRUE(write_one(*store, 1, kept).ok());
  server.stop();
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(write_one(*store, 2, more).code(), Errc::tier_unreachable);
  Status status;
  read_one(*store, 1, kept.size(), &status);
  EXPECT_EQ(status.code(), Errc::tier_unreachable) << status.message();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(1500));
  server.go_on();
  EXPECT_TRUE(read_one(*store, 1, kept.size()) == kept) << "nothing is lost by that";
}

TEST_F(RemoteStore, SaysThatTheServerIsFull) {
  const RedisServer server({"--maxmemory", "24mb", "--maxmemory-policy", "noeviction"});
  const auto store = store_on(server.settings());
  const ByteVector kept = random_bytes(mib(8), 1);
  ASSERT_TRUE(write_one(*store, 1, kept).ok());
  const Status status = write_one(*store, 2, random_bytes(mib(32), 2));
  EXPECT_EQ(status.code(), Errc::tier_full) << status.message();
  EXPECT_TRUE(comes_true([&] { return server.key_count() == 4; })) << "none of it stays";
  EXPECT_TRUE(read_one(*store, 1, kept.size()) == kept);
}

TEST_F(RemoteStore, GivesNothingToAServerThatForgets) {
  const RedisServer server({"--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"});
  const auto store = store_on(server.settings());
  const Status status = write_one(*store, 1, random_bytes(mib(2), 1));
  EXPECT_EQ(status.code(), Errc::unsupported);
  EXPECT_NE(status.message().find("'allkeys-lru'"), std::string::npos) << status.message();
  EXPECT_EQ(server.key_count(), 0);
}

TEST_F(RemoteStore, DetectsWhatWasChangedInTheServer) {
  const RedisServer server;
  for (const CompressionChoice compression :
       {CompressionChoice{}, CompressionChoice{Codec::lz4, 0}}) {
    const auto store = store_on(server.settings(), compression);
    const ByteVector block = smooth_bytes(mib(2), 1);
    ASSERT_TRUE(write_one(*store, 1, block).ok());
    ASSERT_TRUE(server.ask({"SETRANGE", server.some_key(), "900", "x"}).ok());
    Status status;
    read_one(*store, 1, block.size(), &status);
    EXPECT_EQ(status.code(), Errc::bytes_corrupted) << status.message();
    ASSERT_TRUE(server.ask({"SET", server.some_key(), "shorter"}).ok());
    read_one(*store, 1, block.size(), &status);
    EXPECT_EQ(status.code(), Errc::bytes_corrupted) << status.message();
  }
}

TEST_F(RemoteStore, KeepsKeysAliveAndLetsThemDieWithTheProcess) {
  const RedisServer server;
  constexpr milliseconds life(300);
  const pid_t child = fork();
  if (child == 0) {
    RemoteSettings settings = server.settings();
    settings.time_to_live = life;
    const auto store = store_on(settings);
    if (!write_one(*store, 1, random_bytes(mib(4), 1)).ok()) _exit(1);
    for (;;) pause();
  }
  EXPECT_TRUE(comes_true([&] { return server.key_count() == 2; }));
  std::this_thread::sleep_for(life * 2);
  EXPECT_EQ(server.key_count(), 2) << "while it lives";
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(comes_true([&] { return server.key_count() == 0; }));
}

TEST_F(RemoteStore, IsLeftAloneByForkedChildren) {
  const RedisServer server;
  const Folder folder;
  std::vector<std::unique_ptr<Medium>> media;
  media.push_back(std::move(*Disk::open(folder.path(), Size::of(mib(4)))));
  media.push_back(std::make_unique<Remote>(server.settings()));
  auto store = std::make_unique<TieredStore>(std::move(media), CompressionChoice{});
  const ByteVector on_disk = random_bytes(mib(4), 1), on_server = random_bytes(mib(4), 2);
  ASSERT_TRUE(write_one(*store, 1, on_disk).ok());
  ASSERT_TRUE(write_one(*store, 2, on_server).ok());
  EXPECT_EQ(server.key_count(), 2) << "what the disk has no room for";
  const int outcome = outcome_of_child([&] {
    const bool refuses = write_one(*store, 3, on_disk).code() == Errc::unsupported;
    drop_one(*store, 1);
    store.reset();
    return refuses;
  });
  EXPECT_EQ(outcome, 0);
  EXPECT_TRUE(read_one(*store, 1, on_disk.size()) == on_disk);
  EXPECT_TRUE(read_one(*store, 2, on_server.size()) == on_server);
}

TEST(RemoteAlone, SaysThatNobodyListens) {
  RemoteSettings settings;
  settings.address.socket = "/nowhere/at/all";
  const Status status = write_one(*store_on(settings), 1, random_bytes(mib(2), 1));
  EXPECT_EQ(status.code(), Errc::tier_unreachable);
  EXPECT_EQ(status.message(),
            "store unix:///nowhere/at/all cannot be reached: No such file or directory");
}

TEST(RemoteAlone, SaysThatItIsNoSuchServer) {
  const Folder folder;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = folder.path() + "/socket";
  ASSERT_LT(path.copy(address.sun_path, sizeof address.sun_path - 1), sizeof address.sun_path - 1);
  const int listening = socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(bind(listening, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listening, 1), 0);
  RemoteSettings settings;
  settings.address.socket = path;
  settings.password = "any";
  std::thread answering([&] {
    const int connection = accept(listening, nullptr, nullptr);
    const std::string_view answer = "HTTP/1.1 400 Bad Request\r\n\r\n";
    EXPECT_EQ(write(connection, answer.data(), answer.size()), ssize_t(answer.size()));
    char heard[64];
    while (read(connection, heard, sizeof heard) > 0) {
    }
    close(connection);
  });
  const auto opened = RedisConnection::open(settings);
  EXPECT_EQ(opened.status().code(), Errc::tier_unreachable);
  EXPECT_NE(opened.status().message().find("says what is no answer"), std::string::npos)
      << opened.status().message();
  answering.join();
  close(listening);
}

}  // namespace
}  // namespace vhbm
