// See shared_file.h. Space is allocated, not only promised by the file's size: on a full tmpfs a
// write into a hole would be a SIGBUS in somebody else's server.
#include "runtime/shared_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <string_view>

namespace vhbm {
namespace {

// What files of ours are called, whatever their version.
constexpr std::string_view our_suffixes[] = {".stats", ".regions", ".claim"};

bool refuse(std::string* why_not, const std::string& what) {
  *why_not = what + ": " + std::strerror(errno);
  return false;
}

bool is_ours(std::string_view name) {
  return std::any_of(std::begin(our_suffixes), std::end(our_suffixes),
                     [&](std::string_view suffix) { return name.ends_with(suffix); });
}

// Files whose process is gone: nobody holds their lock.
void remove_stale_files(const std::string& directory) {
  DIR* entries = opendir(directory.c_str());
  if (entries == nullptr) return;
  while (const dirent* entry = readdir(entries)) {
    if (!is_ours(entry->d_name)) continue;
    const std::string path = directory + "/" + entry->d_name;
    const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (descriptor < 0) continue;
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) unlink(path.c_str());
    close(descriptor);
  }
  closedir(entries);
}

}  // namespace

void describe_process(SharedHeader& header, std::uint64_t magic, std::uint64_t layout, int device) {
  header.magic = magic;
  header.layout = layout;
  header.pid = getpid();
  header.device = device;
  header.started_at = std::time(nullptr);
  const int descriptor = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return;
  const ssize_t length = read(descriptor, header.command, sizeof header.command - 1);
  close(descriptor);
  for (ssize_t i = 0; i + 1 < length; ++i) {
    if (header.command[i] == '\0') header.command[i] = ' ';
  }
}

bool SharedFile::create(const std::string& directory, std::size_t size, std::string* why_not) {
  if (!prepare_state_directory(directory, why_not)) return false;
  remove_stale_files(directory);
  // Without a name until it is complete, so that a process that dies before leaves nothing.
  const int descriptor = open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor < 0) return refuse(why_not, "cannot make a file in " + directory);
  descriptor_ = descriptor;
  directory_ = directory;
  if (flock(descriptor, LOCK_EX | LOCK_NB) == 0 && grow(size)) return true;
  refuse(why_not, "cannot lay out a file in " + directory);
  close_and_unlink();
  return false;
}

bool SharedFile::grow(std::size_t size) noexcept {
  const auto length = static_cast<off_t>(size);
  if (fallocate(descriptor_, 0, 0, length) == 0) return true;
  // Some network file systems cannot allocate.
  return errno == EOPNOTSUPP && ftruncate(descriptor_, length) == 0;
}

bool SharedFile::name(const std::string& suffix, std::string* why_not) {
  std::string nameless = "/proc/self/fd/";
  nameless += std::to_string(descriptor_);
  const std::string base = directory_ + "/" + std::to_string(getpid());
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::string path = base;
    if (attempt != 0) path.append("-").append(std::to_string(attempt));
    path += suffix;
    if (linkat(AT_FDCWD, nameless.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0) {
      path_ = std::move(path);
      return true;
    }
    if (errno != EEXIST) break;
  }
  return refuse(why_not, "cannot name a file in " + directory_);
}

bool SharedFile::is_at(const std::string& path) const noexcept {
  struct stat own {}, there {};
  return fstat(descriptor_, &own) == 0 && lstat(path.c_str(), &there) == 0 &&
         own.st_dev == there.st_dev && own.st_ino == there.st_ino;
}

void SharedFile::unlink_name() noexcept {
  if (!path_.empty()) unlink(path_.c_str());
  path_.clear();
}

void SharedFile::leave_to_parent() noexcept {
  // The lock belongs to the open file, which the parent still has; closing our copy keeps it
  // locked.
  if (descriptor_ >= 0) close(descriptor_);
  descriptor_ = -1;
  path_.clear();
}

void SharedFile::close_and_unlink() noexcept {
  unlink_name();
  if (descriptor_ >= 0) close(descriptor_);
  descriptor_ = -1;
}

WatchedFile::WatchedFile(const std::string& path, Access access)
    : descriptor_(open(path.c_str(), (access == Access::write ? O_RDWR : O_RDONLY) | O_CLOEXEC |
                                         O_NOFOLLOW | O_NONBLOCK)),
      access_(access) {}

WatchedFile::~WatchedFile() {
  unmap();
  if (descriptor_ >= 0) close(descriptor_);
}

bool WatchedFile::is_held() const noexcept {
  return flock(descriptor_, LOCK_SH | LOCK_NB) != 0;
}

void WatchedFile::unmap() noexcept {
  if (memory_ != nullptr) munmap(memory_, size_);
  memory_ = nullptr;
  size_ = 0;
}

void* WatchedFile::map(std::size_t least, std::uint64_t magic, std::uint64_t layout) noexcept {
  unmap();
  struct stat status {};
  if (fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode) ||
      status.st_size < static_cast<off_t>(std::max(least, sizeof(SharedHeader)))) {
    return nullptr;
  }
  const int protection = access_ == Access::write ? PROT_READ | PROT_WRITE : PROT_READ;
  const auto size = static_cast<std::size_t>(status.st_size);
  void* memory = mmap(nullptr, size, protection, MAP_SHARED, descriptor_, 0);
  if (memory == MAP_FAILED) return nullptr;
  memory_ = memory;
  size_ = size;
  const auto* header = static_cast<const SharedHeader*>(memory);
  if (header->magic == magic && header->layout == layout) return memory;
  unmap();
  return nullptr;
}

std::vector<std::string> shared_files(const std::string& directory, const std::string& suffix) {
  std::vector<std::string> paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (entry.path().extension() == suffix) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::vector<std::string> shared_files_of(const std::string& directory, const std::string& suffix,
                                         pid_t pid) {
  std::vector<std::string> paths = shared_files(directory, suffix);
  const std::string name = std::to_string(pid);
  std::erase_if(paths, [&](const std::string& path) {
    const std::string stem = std::filesystem::path(path).stem();
    return stem != name && !stem.starts_with(name + "-");
  });
  return paths;
}

std::string state_directory(const std::string& configured) {
  std::string directory = configured;
  if (directory.empty()) directory = "/dev/shm/vhbm-" + std::to_string(geteuid());
  return directory;
}

bool prepare_state_directory(const std::string& directory, std::string* why_not) {
  struct stat status {};
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return refuse(why_not, "cannot make " + directory);
  }
  if (lstat(directory.c_str(), &status) != 0) return refuse(why_not, "cannot look at " + directory);
  if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 022) != 0) {
    *why_not =
        directory + " is not a directory of this user alone: remove it, or set VHBM_STATE_DIR";
    return false;
  }
  return true;
}

}  // namespace vhbm
