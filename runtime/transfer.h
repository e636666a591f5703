// Copies chunks behind the closed gate, piece by piece: while one piece is copied, the one before
// it, which has landed, can be switched, since mapping takes about as long as copying. What arrives
// in HBM is hashed on the way. Two pieces at most are in flight, each on a lane of the copier of
// its own. Invariant: a piece's chunks may be switched once land() has said so, and not before.
// Locking: the caller holds the device's lock throughout.
#pragma once

#include <chrono>
#include <deque>
#include <span>

#include "runtime/copier.h"
#include "runtime/device.h"
#include "runtime/move.h"

namespace vhbm {

class Transfer {
 public:
  // `meanwhile` is called while copies are in flight, as Copier::wait says.
  Transfer(Device& device, const Copier::Meanwhile& meanwhile)
      : device_(device), meanwhile_(meanwhile) {}

  // How many chunks make a piece.
  [[nodiscard]] std::size_t piece() const;
  [[nodiscard]] bool full() const { return flying_.size() == Copier::most_lanes; }
  // Queues the copies of those of a piece that have none yet; not when it is full(), and at most
  // piece() chunks, which stay where they are until they land. False, with the reason counted and
  // told, when the driver refuses.
  [[nodiscard]] bool queue(std::span<Move> chunks);
  [[nodiscard]] bool pending() const { return !flying_.empty(); }
  // Waits for the piece that was queued first. Nothing, with the reason counted and told, when its
  // copies fail or hang.
  [[nodiscard]] std::span<Move> land();
  // Waits for the hashes of what is there, results 0 and on of the gate's lane; nothing is in
  // flight. False, told likewise, when they cannot be had.
  [[nodiscard]] bool hash(std::span<const DeviceAddress> chunks);
  // After a failure: copies may still be landing.
  [[nodiscard]] bool unknown() const { return unknown_; }

 private:
  struct Piece {
    std::span<Move> chunks;
    unsigned lane;
    bool copies;
    std::vector<Move*> hashed;
  };
  [[nodiscard]] bool queue_copies(Piece& piece);
  [[nodiscard]] CUresult queue_hashes(Piece& piece);
  [[nodiscard]] std::size_t first_result(const Piece& piece) const;
  // The first that went wrong, and what became of all that was queued.
  void failed(CUresult result, CUresult all);
  // False, once all that was queued before has landed.
  [[nodiscard]] bool refused(CUresult result);

  Device& device_;
  const Copier::Meanwhile& meanwhile_;
  std::deque<Piece> flying_;  // in the order in which they were queued
  unsigned next_lane_ = 0;
  Bytes landed_;  // copied since `begin_`
  std::chrono::steady_clock::time_point begin_{};
  bool unknown_ = false;
};

}  // namespace vhbm
