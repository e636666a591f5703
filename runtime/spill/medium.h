// A place below host memory that pieces of blocks go to: a disk, a remote store. A medium knows
// nothing of blocks, keys and compression; it takes bytes to a place and brings them back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "runtime/spill/extents.h"
#include "runtime/status.h"
#include "runtime/units.h"

namespace vhbm {

// Blocks go down in pieces of at most this size: what is packed, checked and transferred at once.
inline constexpr Bytes piece_size = mib(2);

enum class Direction { write, read };

// One request: `bytes` to or from `place`, which was reserved and is as long. The memory is aligned
// to Extents::unit, and what follows up to the next multiple may be overwritten, or written along.
struct Transfer {
  Direction direction = Direction::write;
  Extent place;
  std::span<std::byte> bytes;
};

// One thread's way to a medium, with several requests in flight. It and their memory stay until
// each was finished, or until the channel is gone: its end waits for what is in flight.
class Channel {
 public:
  virtual ~Channel() = default;
  // How many requests it takes at once.
  [[nodiscard]] virtual unsigned depth() const = 0;
  // Starts one. A failure says that this one was not started.
  [[nodiscard]] virtual Status begin(Transfer& transfer) = 0;
  struct Finished {
    Transfer* transfer;
    Status status;
  };
  // Waits until one of those in flight, of which there is at least one, came to its end. The
  // failure of all that are in flight comes as a failure of this call.
  [[nodiscard]] virtual Result<Finished> finish() = 0;
};

class Medium {
 public:
  virtual ~Medium() = default;
  // As messages name it: "disk /mnt/nvme", "store cache:6379".
  [[nodiscard]] virtual const char* name() const = 0;
  // How many channels are worth having at once, at most.
  [[nodiscard]] virtual unsigned channels() const = 0;
  [[nodiscard]] virtual Result<std::unique_ptr<Channel>> open_channel() = 0;

  // Room for `size` bytes, found and taken now.
  //   Errc::tier_full  there is none
  [[nodiscard]] virtual Result<Extent> reserve(Bytes size) = 0;
  // Forgets what is there, and gives the room back.
  virtual void release(std::span<const Extent> places) noexcept = 0;
  // After a batch of writes to `places`, all finished: they are where they should be, or this says
  // not.
  [[nodiscard]] virtual Status settle(std::span<const Extent> places) = 0;
};

}  // namespace vhbm
