// The claims on one GPU: this process's own, published in a file of the state directory, and the
// others', read from theirs. Invariant: nobody waits for anybody; a claim counts as long as its
// process holds its file's lock, and the kernel lets go of that with the process, however it ends.
// Locking: none; one thread at a time.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "runtime/claim.h"
#include "runtime/shared_file.h"

namespace vhbm {

// A GPU as every process names it (cuda.h: cuDeviceGetUuid_v2; an instance of MIG has its own).
using GpuUuid = std::array<char, 16>;

inline constexpr const char* claim_suffix = ".claim";

class Claims {
 public:
  Claims(std::string directory, const GpuUuid& gpu) : directory_(std::move(directory)), gpu_(gpu) {}
  ~Claims();
  Claims(const Claims&) = delete;
  Claims& operator=(const Claims&) = delete;

  // False, with the reason, when there can be no file.
  [[nodiscard]] bool join(int device, std::string* why_not);
  // The process ends: nobody finds its claim any more. What it holds is its own until it has ended.
  void withdraw() noexcept;
  // In a forked child: the parent's claim stays the parent's.
  void leave_to_parent() noexcept;

  void publish(const Claim& own, std::chrono::nanoseconds now) noexcept;
  // All claims on this GPU, the own one first, as it was published. Those of processes that did not
  // publish for longer than this do not respond.
  [[nodiscard]] const std::vector<Claim>& all(std::chrono::nanoseconds now);
  static constexpr std::chrono::seconds patience{1};
  // As all() gave them.
  [[nodiscard]] const std::vector<Claim>& last() const { return all_; }

 private:
  struct File;
  struct Other {
    std::string path;
    std::unique_ptr<WatchedFile> watched;
    const File* file;
  };
  void look_for_others();

  const std::string directory_;
  const GpuUuid gpu_;
  SharedFile shared_;
  File* own_ = nullptr;
  std::vector<Other> others_;
  std::vector<std::string> strangers_;  // claims on other GPUs, or of another version, and the own one
  std::chrono::nanoseconds next_look_{0};
  std::vector<Claim> all_;
};

}  // namespace vhbm
