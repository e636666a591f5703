#include "replay/memory.h"

#include <algorithm>

namespace vhbm::replay {

void Memory::make(std::uint32_t life) {
  const Life& seen = workload_.lives[life];
  if (life >= placed_.size()) placed_.resize(workload_.lives.size());
  Placed& placed = placed_[life];
  placed = {};
  placed.lives = true;
  placed.tag = seen.tag;
  placed.held = seen.held;
  placed.whole = seen.whole;
  placed.chunks.resize(seen.chunks);
  living_.push_back(life);
  const std::uint64_t end = seen.first_chunk + std::uint64_t{seen.chunks} * seen.pages_per_chunk();
  if (places_.size() < end) places_.resize(end);
  for (std::uint32_t i = 0; i < seen.chunks; ++i) {
    places_[seen.first_chunk + i * seen.pages_per_chunk()] = {life, i};
  }
  if (placed.whole) {
    placed.resident = seen.chunks;
  } else {
    host_mapped_ += seen.chunks;
  }
}

void Memory::place_as_seen(std::uint32_t life) {
  make(life);
  if (placed_[life].whole) return;
  std::uint32_t chunk = 0;
  bool resident = false;
  for (const std::uint64_t run : workload_.lives[life].runs) {
    for (std::uint64_t i = 0; i < run && chunk < placed_[life].chunks.size(); ++i, ++chunk) {
      if (resident) move({life, chunk}, true);
    }
    resident = !resident;
  }
}

void Memory::place(std::uint32_t life, std::uint64_t most) {
  make(life);
  Placed& placed = placed_[life];
  if (placed.whole) return;
  const auto count =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(most, placed.chunks.size()));
  for (std::uint32_t chunk = 0; chunk < count; ++chunk) move({life, chunk}, true);
}

void Memory::remove(std::uint32_t life) {
  Placed& placed = placed_[life];
  if (!placed.lives) return;
  if (!placed.whole) {
    resident_ -= placed.resident;
    host_mapped_ -= placed.chunks.size() - placed.resident;
  }
  placed.lives = false;
  std::erase(living_, life);
}

void Memory::gather(std::uint32_t life) {
  Placed& placed = placed_[life];
  if (!placed.lives || placed.whole) return;
  resident_ -= placed.resident;
  host_mapped_ -= placed.chunks.size() - placed.resident;
  placed.whole = true;
  placed.resident = placed.chunks.size();
}

void Memory::move(Place place, bool to_hbm) {
  Placed& placed = placed_[place.life];
  Chunk& chunk = placed.chunks[place.chunk];
  if (chunk.resident == to_hbm) return;
  chunk.resident = to_hbm;
  placed.resident += to_hbm ? 1 : std::uint64_t{} - 1;
  resident_ += to_hbm ? 1 : std::uint64_t{} - 1;
  host_mapped_ += to_hbm ? std::uint64_t{} - 1 : 1;
}

const std::vector<Candidate>& Memory::candidates(const Steps& steps) {
  candidates_.clear();
  for (const std::uint32_t life : living_) {
    const Placed& placed = placed_[life];
    if (placed.whole) continue;
    const Life& seen = workload_.lives[life];
    Candidate candidate{{},
                        seen.chunk_size,
                        placed.last_use,
                        false,
                        placed.held,
                        placed.tag,
                        false,
                        seen.index,
                        steps.of(seen.index),
                        steps.frequency(seen.index)};
    std::uint32_t page = seen.first_chunk;
    for (const Chunk& chunk : placed.chunks) {
      candidate.chunk = {page};
      candidate.resident = chunk.resident;
      candidate.has_copy = chunk.has_copy;
      candidates_.push_back(candidate);
      page += seen.pages_per_chunk();
    }
  }
  return candidates_;
}

}  // namespace vhbm::replay
