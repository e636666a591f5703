// Brings the bytes of a process asleep to the tiers below host memory, and back before it wakes. A
// chunk whose bytes are below is mapped to a frame that stands in, without access: addresses answer
// as ever, and nothing reads or writes wrong bytes there.
//   down   copied out of host frames, kept by the store, then unmapped; and not before that
//   back   read and verified, copied into frames, then mapped
// Bytes that a tier has lost stay without access: whoever touches them gets the driver's error, and
// all else goes on.
// Locking: one thread, while the launch gate is closed; it takes the device's lock for what touches
// the device, and does not hold it while it waits for a store.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "runtime/device.h"
#include "runtime/spill/block_store.h"

namespace vhbm {

class Spilling {
 public:
  Spilling(std::unique_ptr<BlockStore> store, std::chrono::nanoseconds after)
      : store_(std::move(store)), after_(after) {}
  ~Spilling();
  Spilling(const Spilling&) = delete;
  Spilling& operator=(const Spilling&) = delete;

  // Sends one batch of the device's chunks down, once it has slept for long enough.
  void send_down(Device& device, std::chrono::nanoseconds asleep_for);
  // Maps everything of the device's again; harmless when nothing is below. False when that cannot
  // be just now: it is asked again. After `patience` of that, what cannot be had counts as lost.
  [[nodiscard]] bool bring_back(Device& device);
  static constexpr std::chrono::seconds patience{30};

 private:
  using Clock = std::chrono::steady_clock;

  // One chunk below, or on its way.
  struct Chunk {
    DeviceAddress address;
    RegionId region;
    BlockKey first;          // of its blocks, which are numbered on from there
    Frame* frame = nullptr;  // of those on their way
  };
  struct Place {
    std::deque<Chunk> below;
    Frame* stand_in = nullptr;
    Bytes lost;
  };
  // A chunk as it is now; nothing when it was freed.
  struct Found {
    Region* region = nullptr;
    std::size_t index = 0;
  };

  [[nodiscard]] static Found find(Device& device, const Chunk& chunk, PageState state);
  [[nodiscard]] std::vector<Chunk> choose(Device& device);
  // The chunks' blocks from `begin` on, as many as the staging memory takes.
  struct Part {
    std::size_t chunk;  // of the batch
    Bytes offset;       // in the chunk
    BlockKey key;
    std::span<std::byte> staging;
  };
  [[nodiscard]] std::vector<Part> parts(std::span<const Chunk> chunks, Bytes begin) const;
  // Copies that took too long may still land: neither their frames nor the staging memory may be
  // used for anything else.
  [[nodiscard]] static bool in_flight(Device& device);
  [[nodiscard]] bool copy(Device& device, std::span<const Chunk> chunks,
                          std::span<const Part> parts, PageState state);
  [[nodiscard]] Status keep(Device& device, std::span<const Chunk> chunks);
  void let_go(Device& device, Place& place, std::span<const Chunk> chunks);
  [[nodiscard]] Status fetch(Device& device, std::span<Chunk> chunks);
  [[nodiscard]] Status take_frames(Device& device, std::span<Chunk> chunks);
  [[nodiscard]] Status map(Device& device, std::span<Chunk> chunks);
  void drop(std::span<const Chunk> chunks);
  [[nodiscard]] bool make_staging(Bytes chunk);

  const std::unique_ptr<BlockStore> store_;
  const std::chrono::nanoseconds after_;
  std::map<Device*, Place> places_;
  std::span<std::byte> staging_;
  Bytes chunk_, block_;  // sizes: of a chunk, and of the blocks that it goes in
  std::uint64_t next_key_ = 0;
  Clock::time_point next_attempt_{}, failing_since_{};
};

}  // namespace vhbm
