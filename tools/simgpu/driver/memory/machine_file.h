// What several processes hold of the same simulated GPUs, and who has kernels there: a file that
// each of them maps, a slot of it for each process. Invariant: only its owner writes a slot, and it
// is an owner as long as it holds the lock on the slot's byte, which ends with the process however
// it ends: nothing is left behind, and a process that is stopped blocks nobody. Locking: none but
// those; counts are atomic.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace simgpu {

class MachineFile {
 public:
  static constexpr std::size_t kProcesses = 256, kDevices = 64;

  struct Use {
    std::int64_t pid;
    std::uint64_t bytes;
  };

  // Null, with the reason, when the file cannot be had.
  static std::unique_ptr<MachineFile> open(const std::string& path, std::string* why_not);
  // What this process held is free.
  ~MachineFile();
  MachineFile(const MachineFile&) = delete;
  MachineFile& operator=(const MachineFile&) = delete;

  // A slot for this process; false when all are taken. Without one it only looks.
  bool join();
  // False, and nothing changed, when all processes together would hold more than `budget`.
  bool take(std::size_t place, std::uint64_t bytes, std::uint64_t budget);
  void give_back(std::size_t place, std::uint64_t bytes);
  // What the living hold of the GPU at that place in the machine, this process included.
  std::vector<Use> uses(std::size_t place) const;
  std::uint64_t used(std::size_t place) const;

  // Around each execution of kernels of this process, which has joined.
  void begin_kernels(std::size_t place);
  void end_kernels(std::size_t place);
  // Other processes that have kernels there, or had a moment ago.
  unsigned others_with_kernels(std::size_t place) const;

 private:
  struct Slot {
    std::atomic<std::int64_t> pid;
    std::array<std::atomic<std::uint64_t>, kDevices> bytes;
    std::array<std::atomic<std::int32_t>, kDevices> kernels;  // that run
    std::array<std::atomic<std::int64_t>, kDevices>
        kernels_end;  // of the last, by the steady clock
  };

  MachineFile(int file, Slot* slots) : file_(file), slots_(slots) {}
  bool is_alive(std::size_t slot) const;

  const int file_;
  Slot* const slots_;
  Slot* own_ = nullptr;
};

}  // namespace simgpu
