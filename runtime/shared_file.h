// A file in the state directory through which others watch a process: mode 0600, mapped by its
// writer, gone with it. Invariant: it is locked as long as its process lives, so a reader tells the
// living from the dead without trusting a process id, and it gets its name only when it is
// complete. Locking: none; each end belongs to one thread.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace vhbm {

// What every such file begins with. `layout` differs whenever what follows does.
struct SharedHeader {
  std::uint64_t magic;
  std::uint64_t layout;
  std::int64_t pid;
  std::int64_t started_at;  // seconds since 1970
  std::int64_t device;      // whose memory it is about, as CUDA numbers it in that process
  char command[96];
};

// Who this process is.
void describe_process(SharedHeader& header, std::uint64_t magic, std::uint64_t layout, int device);

// The writer's end.
class SharedFile {
 public:
  SharedFile() = default;
  // Unlinks the name; what is mapped stays mapped.
  ~SharedFile() { close_and_unlink(); }
  SharedFile(const SharedFile&) = delete;
  SharedFile& operator=(const SharedFile&) = delete;

  // A nameless, locked file of `size` bytes under `directory`, which is prepared, and rid of what
  // processes that are gone left in it. False, with the reason, when there can be none.
  [[nodiscard]] bool create(const std::string& directory, std::size_t size, std::string* why_not);
  // Room for `size` bytes, taken now: a write into a mapping never meets a full file system.
  [[nodiscard]] bool grow(std::size_t size) noexcept;
  // Names it <pid><suffix>; where another process namespace, or another device of this process, has
  // that name, <pid>-1<suffix> and on.
  [[nodiscard]] bool name(const std::string& suffix, std::string* why_not);
  // No reader finds it from now on.
  void unlink_name() noexcept;
  // In a forked child: gives up the copy of the parent's file, which stays locked and named.
  void leave_to_parent() noexcept;
  void close_and_unlink() noexcept;

  [[nodiscard]] bool is_open() const noexcept { return descriptor_ >= 0; }
  // Whether it is this file that has that path.
  [[nodiscard]] bool is_at(const std::string& path) const noexcept;
  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

 private:
  std::string directory_, path_;
  int descriptor_ = -1;
};

// The other end: a file as another process sees it.
class WatchedFile {
 public:
  enum class Access { read, write };
  explicit WatchedFile(const std::string& path, Access access = Access::read);
  ~WatchedFile();
  WatchedFile(const WatchedFile&) = delete;
  WatchedFile& operator=(const WatchedFile&) = delete;

  [[nodiscard]] bool is_open() const noexcept { return descriptor_ >= 0; }
  // Its process lives.
  [[nodiscard]] bool is_held() const noexcept;
  // All of the file as it is now, good until the next call and this object's end; nullptr when it
  // is shorter than `least`, or of another magic or layout.
  [[nodiscard]] void* map(std::size_t least, std::uint64_t magic, std::uint64_t layout) noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  void unmap() noexcept;

  const int descriptor_;
  const Access access_;
  void* memory_ = nullptr;
  std::size_t size_ = 0;  // of the mapping
};

// The paths of the files with that suffix, in order.
[[nodiscard]] std::vector<std::string> shared_files(const std::string& directory,
                                                    const std::string& suffix);
// Those among them that a process of that id wrote, in whatever process namespace.
[[nodiscard]] std::vector<std::string> shared_files_of(const std::string& directory,
                                                       const std::string& suffix, pid_t pid);

// The directory that processes of this user share: `configured`, or /dev/shm/vhbm-<uid>.
[[nodiscard]] std::string state_directory(const std::string& configured);
// Makes it when it is missing, mode 0700. False, with the reason, when it is not ours alone.
[[nodiscard]] bool prepare_state_directory(const std::string& directory, std::string* why_not);

}  // namespace vhbm
