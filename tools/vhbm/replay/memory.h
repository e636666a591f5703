// Where the chunks of a played workload are. Invariant: each chunk of a living region is in HBM or
// in host memory, and those in HBM are counted. Locking: none.
#pragma once

#include <cstdint>
#include <vector>

#include "replay/workload.h"
#include "runtime/residency.h"
#include "runtime/steps.h"

namespace vhbm::replay {

struct Chunk {
  bool resident = false;
  bool has_copy = false;  // in the other tier, which held when `copied_at` uses had been
  std::uint64_t copied_at = 0;
};

struct Placed {
  bool lives = false;
  Tag tag = Tag::other;
  bool held = false, whole = false;
  std::uint64_t last_use = 0, uses = 0;
  std::uint64_t resident = 0;  // chunks
  std::vector<Chunk> chunks;
};

class Memory {
 public:
  // More lives may be added to the workload meanwhile.
  explicit Memory(const Workload& workload) : workload_(workload) {}

  // Its chunks go where they were when it was first seen.
  void place_as_seen(std::uint32_t life);
  // As far as there is room for so many: into HBM.
  void place(std::uint32_t life, std::uint64_t most);
  void remove(std::uint32_t life);
  // It is in one piece now, and no chunk of it moves any more.
  void gather(std::uint32_t life);

  [[nodiscard]] Placed& at(std::uint32_t life) { return placed_[life]; }
  // Whose chunk is meant; of no life where there is none.
  struct Place {
    static constexpr std::uint32_t none = UINT32_MAX;
    std::uint32_t life = none;
    std::uint32_t chunk = 0;
  };
  [[nodiscard]] Place find(ChunkId id) const {
    const Place place = id.value < places_.size() ? places_[id.value] : Place{};
    return place.life != Place::none && placed_[place.life].lives ? place : Place{};
  }
  void move(Place place, bool to_hbm);

  // In HBM and in host memory, without what is in one piece.
  [[nodiscard]] std::uint64_t resident() const { return resident_; }
  [[nodiscard]] std::uint64_t host_mapped() const { return host_mapped_; }
  // What may move, as the pager's candidates_of() has it.
  [[nodiscard]] const std::vector<Candidate>& candidates(const Steps& steps);

 private:
  void make(std::uint32_t life);

  const Workload& workload_;
  std::vector<Placed> placed_;
  std::vector<std::uint32_t> living_;
  std::vector<Place> places_;  // by base page
  std::vector<Candidate> candidates_;
  std::uint64_t resident_ = 0, host_mapped_ = 0;
};

}  // namespace vhbm::replay
