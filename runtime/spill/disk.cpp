#include "runtime/spill/disk.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>
#include <thread>

#include "runtime/log.h"
#include "runtime/spill/disk_channels.h"

namespace vhbm {
namespace {

// Enough to keep a disk busy and to pack for it; without a ring each has but one request in flight.
constexpr unsigned ring_channels = 4, plain_channels = 8;

// A file that no name leads to, readable by its owner alone; negative, with errno, when there is
// none.
int open_nameless(const std::string& directory) {
  const int descriptor =
      open(directory.c_str(), O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC | O_NOATIME, 0600);
  if (descriptor >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
    return descriptor;
  // Not every file system has nameless files (NFS has none): the name is taken away at once.
  std::string path = directory + "/.vhbm-XXXXXX";
  const int named = mkostemp(path.data(), O_CLOEXEC);  // mode 0600
  if (named >= 0) unlink(path.c_str());
  return named;
}

Bytes free_on(int descriptor) {
  struct statvfs space;
  if (fstatvfs(descriptor, &space) != 0) return {};
  return {std::uint64_t(space.f_bavail) * space.f_frsize};
}

// Past this the kernel would not only refuse, but send SIGXFSZ, which ends the host process.
Bytes most_that_a_file_may_have() {
  rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return {UINT64_MAX};
  return {limit.rlim_cur};
}

// One page that O_DIRECT takes.
class AlignedPage {
 public:
  AlignedPage() : memory_(static_cast<char*>(std::aligned_alloc(4096, Extents::unit.value))) {}
  ~AlignedPage() { std::free(memory_); }
  AlignedPage(const AlignedPage&) = delete;
  AlignedPage& operator=(const AlignedPage&) = delete;
  [[nodiscard]] char* get() const { return memory_; }

 private:
  char* const memory_;
};

// Whether what was written directly comes back directly: said by trying, since flags alone lie.
bool carries_directly(int descriptor) {
  const AlignedPage out, back;
  if (out.get() == nullptr || back.get() == nullptr) return false;
  const std::size_t size = Extents::unit.value;
  if (most_that_a_file_may_have() < Extents::unit) return false;
  std::memset(out.get(), 0x5a, size);
  std::memset(back.get(), 0, size);
  const bool carries = pwrite(descriptor, out.get(), size, 0) == static_cast<ssize_t>(size) &&
                       pread(descriptor, back.get(), size, 0) == static_cast<ssize_t>(size) &&
                       std::memcmp(out.get(), back.get(), size) == 0;
  return ftruncate(descriptor, 0) == 0 && carries;
}

}  // namespace

Result<std::unique_ptr<Disk>> Disk::open(const std::string& directory, Size limit, Means means) {
  const int descriptor = open_nameless(directory);
  if (descriptor < 0)
    return Status(Errc::invalid_value,
                  "no file can be made in " + directory + ": " + std::strerror(errno) +
                      "; disk_path wants a folder that this process may write");
  const Bytes free = free_on(descriptor);
  std::unique_ptr<Disk> disk(
      new Disk("disk " + directory, descriptor, limit.resolve(free, {free.value / 2})));
  if (means.direct) disk->choose_direct();
  if (means.ring) disk->choose_ring();
  return disk;
}

Disk::~Disk() {
  close(descriptor_);
}

void Disk::choose_direct() {
  struct statfs system;
  if (fstatfs(descriptor_, &system) == 0 &&
      (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC)) {
    log_warn("{} is memory itself: what is spilled there still takes host memory", name_);
    return;
  }
  const int flags = fcntl(descriptor_, F_GETFL);
  direct_ = fcntl(descriptor_, F_SETFL, flags | O_DIRECT) == 0 && carries_directly(descriptor_);
  if (direct_) return;
  fcntl(descriptor_, F_SETFL, flags);
  log_warn(
      "{} does not do O_DIRECT: bytes go through the page cache, slower, and take host memory "
      "until they are written",
      name_);
}

void Disk::choose_ring() {
  const Status status = ring_status();
  ring_ = status.ok();
  if (!ring_)
    log_info("{}: {}; read and written by {} threads instead", name_, status.message(),
             plain_channels);
}

unsigned Disk::channels() const {
  if (!ring_) return plain_channels;
  return std::clamp(std::thread::hardware_concurrency(), 1u, ring_channels);
}

Result<std::unique_ptr<Channel>> Disk::open_channel() {
  if (ring_) {
    if (auto ring = open_ring_channel(descriptor_, name_); ring.ok()) return ring;
  }
  return open_plain_channel(descriptor_, name_);
}

Result<Extent> Disk::reserve(Bytes size) {
  std::lock_guard lock(mutex_);
  const auto extent = extents_.take(size);
  if (!extent)
    return Status(Errc::tier_full, name_ + " is full: disk_limit leaves no room for " +
                                       std::to_string(size.value) + " bytes more");
  if (Status status = allocate(*extent); !status.ok()) {
    give_back(*extent);
    return status;
  }
  return *extent;
}

Status Disk::allocate(Extent extent) {
  if (extent.end() > most_that_a_file_may_have())
    return {Errc::tier_full, name_ + " is full: this process may make no larger file (ulimit -f)"};
  int outcome = -1;
  if (allocates_) {
    do {
      outcome = fallocate(descriptor_, 0, static_cast<off_t>(extent.offset.value),
                          static_cast<off_t>(extent.size.value));
    } while (outcome != 0 && errno == EINTR);
    if (outcome != 0 && errno == EOPNOTSUPP) {
      allocates_ = false;
      log_info("{} does not allocate ahead: that it is full shows only when it is written", name_);
    }
  }
  if (!allocates_ && extent.end() > length_)
    outcome = ftruncate(descriptor_, static_cast<off_t>(extent.end().value));
  else if (!allocates_)
    outcome = 0;
  if (outcome != 0) return disk_failure(name_, errno);
  length_ = std::max(length_, extent.end());
  return {};
}

void Disk::give_back(Extent extent) noexcept {
  try {
    extents_.give_back(extent);
  } catch (const std::bad_alloc&) {
    // That part of the file is not used again: a hole, which takes no room on the disk.
  }
  // A failure leaves allocated what would be a hole; the next to take the extent writes over it.
  if (extent.offset < extents_.end())
    static_cast<void>(fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                static_cast<off_t>(extent.offset.value),
                                static_cast<off_t>(extent.size.value)));
}

void Disk::release(std::span<const Extent> places) noexcept {
  std::lock_guard lock(mutex_);
  for (const Extent& place : places) give_back(place);
  if (extents_.end() < length_ &&
      ftruncate(descriptor_, static_cast<off_t>(extents_.end().value)) == 0)
    length_ = extents_.end();
}

Status Disk::settle(std::span<const Extent>) {
  if (direct_) return {};
  // What the page cache holds is not on the disk yet, and may never fit there.
  if (fdatasync(descriptor_) != 0) return disk_failure(name_, errno);
  posix_fadvise(descriptor_, 0, 0, POSIX_FADV_DONTNEED);
  return {};
}

}  // namespace vhbm
