// A folder on a local disk, or on whatever is mounted, as a medium: one file without a name, mode
// 0600, that is gone with the process however that ends. It grows with what is kept and shrinks
// with what is dropped. What reads and writes it is O_DIRECT where the file system can, so that the
// page cache, which is the memory that is short, has no part in it. Invariant: an extent that is
// reserved is allocated on the disk (where the file system can tell). Locking: its own.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "runtime/options.h"
#include "runtime/spill/medium.h"

namespace vhbm {

class Disk : public Medium {
 public:
  // What is used where it is there. Tests do without.
  struct Means {
    bool direct = true;  // O_DIRECT
    bool ring = true;    // io_uring
  };

  // A file under `directory`, of at most `limit`: by default, or as a share, of what is free there
  // now.
  //   Errc::invalid_value  the directory does not take a file; the message says why
  [[nodiscard]] static Result<std::unique_ptr<Disk>> open(const std::string& directory, Size limit,
                                                          Means means);
  [[nodiscard]] static Result<std::unique_ptr<Disk>> open(const std::string& directory,
                                                          Size limit) {
    return open(directory, limit, Means());
  }
  ~Disk() override;
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  [[nodiscard]] const char* name() const override { return name_.c_str(); }
  [[nodiscard]] unsigned channels() const override;
  [[nodiscard]] Result<std::unique_ptr<Channel>> open_channel() override;
  [[nodiscard]] Result<Extent> reserve(Bytes size) override;
  void release(std::span<const Extent> places) noexcept override;
  [[nodiscard]] Status settle(std::span<const Extent> places) override;

  [[nodiscard]] int descriptor() const { return descriptor_; }
  [[nodiscard]] bool is_direct() const { return direct_; }
  [[nodiscard]] bool has_ring() const { return ring_; }

 private:
  Disk(std::string name, int descriptor, Bytes limit)
      : name_(std::move(name)), descriptor_(descriptor), extents_(limit) {}
  void choose_direct();
  void choose_ring();
  [[nodiscard]] Status allocate(Extent extent);
  void give_back(Extent extent) noexcept;

  const std::string name_;
  const int descriptor_;
  bool direct_ = false, ring_ = false;

  std::mutex mutex_;
  Extents extents_;
  Bytes length_;  // of the file
  bool allocates_ = true;
};

}  // namespace vhbm
