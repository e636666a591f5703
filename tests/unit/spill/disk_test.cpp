// The store over a real disk: what it keeps, what full, forbidden and broken mean, what others see.
#include "runtime/spill/disk.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cstddef>

#include "runtime/spill/tiered_store.h"
#include "tests/unit/spill/blocks.h"

namespace vhbm {
namespace {

// A store with one disk, which stays at hand.
struct DiskStore {
  explicit DiskStore(const std::string& path, Size limit = Size::of(mib(256)),
                     CompressionChoice compression = {}, Disk::Means means = {}) {
    auto opened = Disk::open(path, limit, means);
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    disk = opened->get();
    std::vector<std::unique_ptr<Medium>> media;
    media.push_back(std::move(*opened));
    store = std::make_unique<TieredStore>(std::move(media), compression);
  }
  [[nodiscard]] struct stat file() const {
    struct stat status {};
    fstat(disk->descriptor(), &status);
    return status;
  }
  [[nodiscard]] Bytes on_disk() const { return {std::uint64_t(file().st_blocks) * 512}; }

  Disk* disk = nullptr;
  std::unique_ptr<TieredStore> store;
};

struct Way {
  CompressionChoice compression;
  Disk::Means means;
};

class EachDisk : public testing::TestWithParam<Way> {};

TEST_P(EachDisk, GivesBackWhatItWasGiven) {
  const Folder folder;
  const DiskStore disk(folder.path(), Size::of(mib(256)), GetParam().compression, GetParam().means);
  const std::vector<ByteVector> blocks = {random_bytes(mib(2), 1), smooth_bytes(mib(8), 2),
                                          random_bytes({5'000'001}, 3), smooth_bytes({1}, 4),
                                          smooth_bytes(mib(32), 5)};
  std::vector<BlockSource> sources;
  for (std::size_t i = 0; i < blocks.size(); ++i) sources.push_back(source(i, blocks[i]));
  ASSERT_TRUE(disk.store->write(sources).ok());
  std::vector<ByteVector> back;
  std::vector<BlockTarget> targets;
  for (const ByteVector& block : blocks) back.emplace_back(block.size());
  for (std::size_t i = 0; i < blocks.size(); ++i) targets.push_back({{i}, back[i]});
  const Status read = disk.store->read(targets);
  ASSERT_TRUE(read.ok()) << read.message();
  EXPECT_TRUE(back == blocks);
}

TEST_P(EachDisk, DetectsWhatWasChangedOnTheDisk) {
  const Folder folder;
  const DiskStore disk(folder.path(), Size::of(mib(256)), GetParam().compression, GetParam().means);
  const ByteVector block = smooth_bytes(mib(4), 1);
  ASSERT_TRUE(write_one(*disk.store, 7, block).ok());
  ASSERT_EQ(read_one(*disk.store, 7, block.size()), block);
  // One byte of the last piece, past what belongs to how it is written down.
  fcntl(disk.disk->descriptor(), F_SETFL, 0);
  const off_t where = GetParam().compression.codec == Codec::none ? 3'000'000 : 900;
  std::byte byte{};
  ASSERT_EQ(pread(disk.disk->descriptor(), &byte, 1, where), 1);
  byte ^= std::byte{0x10};
  ASSERT_EQ(pwrite(disk.disk->descriptor(), &byte, 1, where), 1);
  Status status;
  read_one(*disk.store, 7, block.size(), &status);
  EXPECT_EQ(status.code(), Errc::bytes_corrupted) << status.message();
}

INSTANTIATE_TEST_SUITE_P(Each, EachDisk,
                         testing::Values(Way{{}, {}}, Way{{Codec::lz4, 0}, {}},
                                         Way{{Codec::zstd, 1}, {}},
                                         Way{{}, {.direct = false, .ring = true}},
                                         Way{{Codec::lz4, 0}, {.direct = true, .ring = false}},
                                         Way{{}, {.direct = false, .ring = false}}));

TEST(Disk, TakesLessRoomForWhatCompresses) {
  const Folder folder;
  const DiskStore disk(folder.path(), Size::of(mib(256)), {Codec::zstd, 1});
  ASSERT_TRUE(write_one(*disk.store, 1, smooth_bytes(mib(8), 1)).ok());
  EXPECT_EQ(disk.store->usage().plain, mib(8));
  EXPECT_LT(disk.store->usage().packed, mib(1));
  EXPECT_LT(disk.on_disk(), mib(1));
  ASSERT_TRUE(write_one(*disk.store, 2, random_bytes(mib(8), 1)).ok());
  EXPECT_GE(disk.on_disk(), mib(8)) << "what does not is stored as it is";
  EXPECT_LE(disk.store->usage().packed, mib(9));
}

TEST(Disk, ShrinksAsBlocksAreDroppedAndUsesTheirRoomAgain) {
  const Folder folder;
  const DiskStore disk(folder.path());
  for (std::uint64_t key = 0; key < 4; ++key)
    ASSERT_TRUE(write_one(*disk.store, key, random_bytes(mib(4), unsigned(key))).ok());
  const off_t full = disk.file().st_size;
  EXPECT_EQ(full, off_t(mib(16).value));
  drop_one(*disk.store, 1);
  EXPECT_LE(disk.on_disk(), mib(12) + kib(64)) << "a hole in the middle";
  ASSERT_TRUE(write_one(*disk.store, 5, random_bytes(mib(4), 5)).ok());
  EXPECT_EQ(disk.file().st_size, full) << "which is used again";
  EXPECT_EQ(read_one(*disk.store, 5, mib(4).value), random_bytes(mib(4), 5));
  for (const std::uint64_t key : {3, 5, 2, 0}) drop_one(*disk.store, key);
  EXPECT_EQ(disk.file().st_size, 0);
  EXPECT_EQ(disk.on_disk(), Bytes{0});
}

TEST(Disk, KeepsTheOldBytesWhereNewOnesDoNotFit) {
  const Folder folder;
  const DiskStore disk(folder.path(), Size::of(mib(8)));
  const ByteVector old = random_bytes(mib(4), 1);
  ASSERT_TRUE(write_one(*disk.store, 1, old).ok());
  EXPECT_EQ(write_one(*disk.store, 1, random_bytes(mib(6), 2)).code(), Errc::tier_full);
  EXPECT_EQ(read_one(*disk.store, 1, old.size()), old);
  EXPECT_LE(disk.on_disk(), mib(4)) << "what was written of the new ones is given back";
  const ByteVector fresh = random_bytes(mib(4), 3);
  ASSERT_TRUE(write_one(*disk.store, 1, fresh).ok());
  EXPECT_EQ(read_one(*disk.store, 1, fresh.size()), fresh);
  EXPECT_LE(disk.on_disk(), mib(4)) << "nor do the old ones stay";
}

TEST(Disk, SaysThatTheFileSystemIsFullBeforeItKeepsAnything) {
  const Folder folder;
  if (mount("vhbm-test", folder.path().c_str(), "tmpfs", 0, "size=8m") != 0)
    GTEST_SKIP() << "no file system can be mounted here";
  {
    const DiskStore disk(folder.path());
    const ByteVector kept = random_bytes(mib(4), 1);
    EXPECT_TRUE(write_one(*disk.store, 1, kept).ok());
    const Status status = write_one(*disk.store, 2, random_bytes(mib(6), 2));
    EXPECT_EQ(status.code(), Errc::tier_full) << status.message();
    EXPECT_EQ(read_one(*disk.store, 1, kept.size()), kept);
    drop_one(*disk.store, 1);
    EXPECT_TRUE(write_one(*disk.store, 2, random_bytes(mib(6), 2)).ok());
  }
  umount(folder.path().c_str());
}

TEST(Disk, RefusesRatherThanPassTheLimitOfFilesWhoseSignalWouldEndTheProcess) {
  const Folder folder;
  const int outcome = outcome_of_child([&] {
    const rlimit limit{mib(4).value, mib(4).value};
    setrlimit(RLIMIT_FSIZE, &limit);
    const DiskStore disk(folder.path());
    const ByteVector kept = random_bytes(mib(2), 1);
    return write_one(*disk.store, 1, kept).ok() &&
           write_one(*disk.store, 2, random_bytes(mib(4), 2)).code() == Errc::tier_full &&
           read_one(*disk.store, 1, kept.size()) == kept;
  });
  ASSERT_TRUE(WIFEXITED(outcome)) << "ended by signal " << WTERMSIG(outcome);
  EXPECT_EQ(WEXITSTATUS(outcome), 0);
}

TEST(Disk, DoesWithoutIoUringWhereItIsForbidden) {
  const Folder folder;
  const int outcome = outcome_of_child([&] {
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{4, filter};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return false;
    const DiskStore disk(folder.path());
    const ByteVector block = random_bytes(mib(16), 1);
    return !disk.disk->has_ring() && write_one(*disk.store, 1, block).ok() &&
           read_one(*disk.store, 1, block.size()) == block;
  });
  EXPECT_EQ(outcome, 0);
}

TEST(Disk, HasNoNameAndIsItsOwnersAlone) {
  const Folder folder;
  const DiskStore disk(folder.path());
  ASSERT_TRUE(write_one(*disk.store, 1, random_bytes(mib(2), 1)).ok());
  EXPECT_TRUE(folder.is_empty());
  EXPECT_EQ(disk.file().st_nlink, 0u);
  EXPECT_EQ(disk.file().st_mode & 0777, 0600u);
}

TEST(Disk, CannotBeReadByAnotherUser) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  const Folder folder;
  const DiskStore disk(folder.path());
  ASSERT_TRUE(write_one(*disk.store, 1, random_bytes(mib(2), 1)).ok());
  const std::string path =
      "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(disk.disk->descriptor());
  const int mine = open(path.c_str(), O_RDONLY);
  ASSERT_GE(mine, 0) << "the path is the right one";
  close(mine);
  const int outcome = outcome_of_child([&] {
    // Inherited, which a stranger's would not be.
    close(disk.disk->descriptor());
    if (setgid(65534) != 0 || setuid(65534) != 0) return false;
    return open(path.c_str(), O_RDONLY) < 0 && errno == EACCES;
  });
  EXPECT_EQ(outcome, 0);
}

TEST(Disk, LeavesNothingWhenItsProcessIsKilled) {
  const Folder folder;
  const int outcome = outcome_of_child([&] {
    const DiskStore disk(folder.path());
    return write_one(*disk.store, 1, random_bytes(mib(8), 1)).ok() && kill(getpid(), SIGKILL) == 0;
  });
  ASSERT_TRUE(WIFSIGNALED(outcome));
  EXPECT_EQ(WTERMSIG(outcome), SIGKILL);
  EXPECT_TRUE(folder.is_empty());
}

TEST(Disk, SaysWhereNoFileCanBeMade) {
  const auto opened = Disk::open("/nowhere/at/all", Size::automatic());
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.status().code(), Errc::invalid_value);
  EXPECT_NE(opened.status().message().find("/nowhere/at/all: No such file"), std::string::npos)
      << opened.status().message();
}

}  // namespace
}  // namespace vhbm
