// The writer's side of the shared table. A file appears under its final name only when it is locked
// and filled in, so a reader never sees half of one.
#include "runtime/stats.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <new>
#include <string_view>

namespace vhbm {
namespace {

StatsFile* map_table(int descriptor, void* at = nullptr) {
  const int flags =
      (descriptor < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED) | (at == nullptr ? 0 : MAP_FIXED);
  void* memory = mmap(at, sizeof(StatsFile), PROT_READ | PROT_WRITE, flags, descriptor, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<StatsFile*>(memory);
}

bool refuse(std::string* why_not, const std::string& what) {
  *why_not = what + ": " + std::strerror(errno);
  return false;
}

void describe_process(StatsFile* file) {
  file->layout = stats_layout();
  file->pid = getpid();
  file->started_at = std::time(nullptr);
  const int descriptor = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  if (descriptor >= 0) {
    const ssize_t length = read(descriptor, file->command, sizeof file->command - 1);
    close(descriptor);
    for (ssize_t i = 0; i + 1 < length; ++i) {
      if (file->command[i] == '\0') file->command[i] = ' ';
    }
  }
  file->magic = StatsFile::magic_value;
}

// Files whose process is gone: nobody holds their lock.
void remove_stale_files(const std::string& directory) {
  DIR* entries = opendir(directory.c_str());
  if (entries == nullptr) return;
  while (const dirent* entry = readdir(entries)) {
    if (std::string_view(entry->d_name).find(".stats") == std::string_view::npos) continue;
    const std::string path = directory + "/" + entry->d_name;
    const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (descriptor < 0) continue;
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) unlink(path.c_str());
    close(descriptor);
  }
  closedir(entries);
}

// Gives a nameless file the name <base>.stats; where another process namespace, or another device
// of this process, has that one, the next. Empty when that fails.
std::string name_file(int descriptor, const std::string& base) {
  const std::string nameless = "/proc/self/fd/" + std::to_string(descriptor);
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::string path = base;
    if (attempt != 0) path += "-" + std::to_string(attempt);
    path += ".stats";
    if (linkat(AT_FDCWD, nameless.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0) {
      return path;
    }
    if (errno != EEXIST) break;
  }
  return {};
}

}  // namespace

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

Stats::Stats() : file_(map_table(-1)) {
  if (file_ == nullptr) throw std::bad_alloc();
}

Stats::~Stats() {
  munmap(file_, sizeof(StatsFile));
  if (descriptor_ >= 0) {
    unlink(path_.c_str());
    close(descriptor_);
  }
}

bool Stats::share(const std::string& directory, std::string* why_not) {
  if (!prepare_state_directory(directory, why_not)) return false;
  remove_stale_files(directory);
  // Without a name until it is complete, so that a process that dies before leaves nothing.
  const int descriptor = open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor < 0) return refuse(why_not, "cannot make a file in " + directory);
  StatsFile* shared = nullptr;
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0 || ftruncate(descriptor, sizeof(StatsFile)) != 0 ||
      (shared = map_table(descriptor)) == nullptr) {
    refuse(why_not, "cannot lay out a file in " + directory);
    close(descriptor);
    return false;
  }
  describe_process(shared);
  for (std::size_t i = 0; i < stat_count; ++i) shared->values[i].store(file_->values[i].load());
  path_ = name_file(descriptor, directory + "/" + std::to_string(getpid()));
  if (path_.empty()) {
    refuse(why_not, "cannot name a file in " + directory);
    munmap(shared, sizeof(StatsFile));
    close(descriptor);
    return false;
  }
  munmap(file_, sizeof(StatsFile));
  file_ = shared;
  descriptor_ = descriptor;
  return true;
}

void Stats::unshare_in_child() noexcept {
  if (descriptor_ < 0) return;
  map_table(-1, file_);
  // The lock belongs to the open file, which the parent still has; closing our copy keeps it
  // locked.
  close(descriptor_);
  descriptor_ = -1;
}

}  // namespace vhbm
