#include "memory/machine_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

namespace simgpu {
namespace {

// A lock of the open file, not of the process: it works across process namespaces.
struct flock byte(std::size_t slot, short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(slot);
  lock.l_len = 1;
  return lock;
}

// Between kernels of one stream that follow each other, in nanoseconds.
constexpr std::int64_t a_moment = 1'000'000;

std::int64_t now() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

std::unique_ptr<MachineFile> MachineFile::open(const std::string& path, std::string* why_not) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  constexpr std::size_t size = kProcesses * sizeof(Slot);
  void* memory = MAP_FAILED;
  if (file >= 0 && ftruncate(file, size) == 0) {
    memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  }
  if (memory == MAP_FAILED) {
    *why_not = path + ": " + std::strerror(errno);
    if (file >= 0) close(file);
    return nullptr;
  }
  return std::unique_ptr<MachineFile>(new MachineFile(file, static_cast<Slot*>(memory)));
}

MachineFile::~MachineFile() {
  munmap(slots_, kProcesses * sizeof(Slot));
  close(file_);
}

bool MachineFile::join() {
  for (std::size_t slot = 0; slot < kProcesses; ++slot) {
    struct flock mine = byte(slot, F_WRLCK);
    if (fcntl(file_, F_OFD_SETLK, &mine) != 0) continue;
    own_ = &slots_[slot];
    for (auto& bytes : own_->bytes) bytes = 0;  // of one that ended here
    for (auto& kernels : own_->kernels) kernels = 0;
    own_->pid = getpid();
    return true;
  }
  return false;
}

bool MachineFile::take(std::size_t place, std::uint64_t bytes, std::uint64_t budget) {
  if (own_ == nullptr) return false;
  // Added before it is looked at, so that two that take at once never both succeed; and tried
  // again, since they may both fail where one of them had room.
  for (unsigned attempt = 0; attempt < 8; ++attempt) {
    own_->bytes[place] += bytes;
    if (used(place) <= budget) return true;
    own_->bytes[place] -= bytes;
    if (used(place) + bytes > budget) return false;
    usleep(static_cast<useconds_t>(getpid()) % 16 * (attempt + 1));
  }
  return false;
}

void MachineFile::give_back(std::size_t place, std::uint64_t bytes) {
  if (own_ != nullptr) own_->bytes[place] -= bytes;
}

bool MachineFile::is_alive(std::size_t slot) const {
  if (&slots_[slot] == own_) return true;
  struct flock theirs = byte(slot, F_WRLCK);
  return fcntl(file_, F_OFD_GETLK, &theirs) == 0 && theirs.l_type != F_UNLCK;
}

std::vector<MachineFile::Use> MachineFile::uses(std::size_t place) const {
  std::vector<Use> found;
  for (std::size_t slot = 0; slot < kProcesses; ++slot) {
    const std::uint64_t bytes = slots_[slot].bytes[place];
    if (bytes != 0 && is_alive(slot)) found.push_back({slots_[slot].pid, bytes});
  }
  return found;
}

void MachineFile::begin_kernels(std::size_t place) {
  own_->kernels[place] += 1;
}

void MachineFile::end_kernels(std::size_t place) {
  own_->kernels_end[place] = now();
  own_->kernels[place] -= 1;
}

unsigned MachineFile::others_with_kernels(std::size_t place) const {
  unsigned others = 0;
  for (std::size_t slot = 0; slot < kProcesses && slots_[slot].pid != 0; ++slot) {
    if (&slots_[slot] == own_) continue;
    const bool had = now() - slots_[slot].kernels_end[place] < a_moment;
    if (had || (slots_[slot].kernels[place] != 0 && is_alive(slot))) ++others;
  }
  return others;
}

std::uint64_t MachineFile::used(std::size_t place) const {
  std::uint64_t sum = 0;
  for (const Use& use : uses(place)) sum += use.bytes;
  return sum;
}

}  // namespace simgpu
