// The regions that this process lets others map, by random tokens, and the thread that hands out
// file descriptors of them. Both begin with the first region that is shared. Invariant: a token
// names one region for good; what it gives is decided anew each time it is asked for. Locking: its
// own; the grant is called without it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "runtime/region_view.h"
#include "runtime/share_socket.h"
#include "runtime/shared_handle.h"
#include "runtime/status.h"
#include "runtime/worker.h"

namespace vhbm {

// What one process asks another, and gets.
struct ShareRequest {
  SharedHandle handle;
};
struct ShareAnswer {
  std::uint64_t granted = 0;  // 1: a file descriptor comes along
  std::uint64_t size = 0;     // of the region, in bytes, as the application asked for
  std::uint64_t mapped = 0;   // of the memory behind the descriptor
};
// How long an answer may take.
inline constexpr std::chrono::seconds share_patience{5};
// The name of a process's socket.
[[nodiscard]] std::string share_name(std::uint64_t process);

class Exports {
 public:
  struct Granted {
    int file;  // the receiver's
    Bytes size, mapped;
  };
  // A descriptor of the region, or why there is none; asked from the thread.
  using Grant = std::function<Result<Granted>(RegionId, DeviceAddress base)>;
  // Whether the region still lives.
  using Lives = std::function<bool(RegionId, DeviceAddress base)>;

  Exports(std::string directory, Grant grant, Lives lives);
  ~Exports() { stop(); }
  Exports(const Exports&) = delete;
  Exports& operator=(const Exports&) = delete;

  // The region's handle, the same each time.
  //   Errc::system_error  no socket or thread can be had
  [[nodiscard]] Result<SharedHandle> share(const RegionView& region);
  // Whether this process made the handle.
  [[nodiscard]] bool made(const SharedHandle& handle) const noexcept;
  // Nobody gets anything any more. In a forked child the parent's socket stays as it is.
  void stop() noexcept;
  // No thread of it runs any more.
  [[nodiscard]] bool ended() const noexcept { return worker_.ended(); }

 private:
  struct Shared {
    SharedHandle handle;
    DeviceAddress base;
  };
  [[nodiscard]] Status start();
  void round() noexcept;
  void serve(const ShareSocket& client);
  void forget_the_dead();
  void close_and_unlink() noexcept;

  const std::string directory_;
  const Grant grant_;
  const Lives lives_;
  mutable std::mutex mutex_;
  std::map<std::uint64_t, Shared> shared_;  // by the region's identity
  std::size_t look_again_at_ = 64;          // so many, and the dead among them are forgotten
  SharedHandle process_;                    // what all handles have in common
  ShareSocket listening_;
  int wake_ = -1;  // an event that ends the thread's waiting
  bool stopped_ = false;
  const pid_t owner_;
  Worker worker_;
};

}  // namespace vhbm
