// A socket in the state directory, mode 0600, both ends of one user: over it one process hands
// another a file descriptor of its memory, or takes orders. Invariant: nothing here waits without a
// limit. Locking: none; a socket belongs to one thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "runtime/status.h"

namespace vhbm {

class ShareSocket {
 public:
  ShareSocket() = default;
  explicit ShareSocket(int descriptor) : descriptor_(descriptor) {}
  ~ShareSocket() { close(); }
  ShareSocket(ShareSocket&& other) noexcept : descriptor_(other.descriptor_) {
    other.descriptor_ = -1;
  }
  ShareSocket& operator=(ShareSocket&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ShareSocket(const ShareSocket&) = delete;
  ShareSocket& operator=(const ShareSocket&) = delete;

  // Listens as <directory>/<name>, which is prepared, and rid of the sockets of processes that are
  // gone.
  [[nodiscard]] static Result<ShareSocket> listen(const std::string& directory,
                                                  const std::string& name);
  // To the process of this user that listens there; root may talk to anybody's.
  [[nodiscard]] static Result<ShareSocket> connect(const std::string& directory,
                                                   const std::string& name,
                                                   std::chrono::milliseconds patience);
  // Who connected; a closed socket when neither this user nor root did.
  [[nodiscard]] ShareSocket accept(std::chrono::milliseconds patience) const;

  // Of exactly `size` bytes, with a file descriptor unless that is negative. False when the other
  // end is gone, or took too long.
  [[nodiscard]] bool send(const void* data, std::size_t size, int file = -1) const;
  // As above; `file` gets the descriptor that came along, -1 when none did, and is the caller's.
  [[nodiscard]] bool receive(void* data, std::size_t size, int* file = nullptr) const;

  [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }
  [[nodiscard]] int descriptor() const { return descriptor_; }
  void close();

 private:
  void wait_at_most(std::chrono::milliseconds patience) const;
  // Who is at the other end; -1 when that is not known.
  [[nodiscard]] std::int64_t peer() const;

  int descriptor_ = -1;
};

inline constexpr const char* share_suffix = ".share";
inline constexpr const char* control_suffix = ".control";
// Removes the sockets of processes that are gone: nobody listens there.
void remove_dead_sockets(const std::string& directory);

}  // namespace vhbm
