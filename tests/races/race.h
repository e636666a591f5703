// A race: a protocol between host and GPU that is wrong in one variant and right in the other. One
// round does it once, and throws Detected when the GPU or its bytes show that it was wrong.
#pragma once

#include <memory>
#include <span>

#include "gpu.h"

namespace races {

enum class Variant { wrong, right };

class Race {
 public:
  virtual ~Race() = default;
  virtual void round(unsigned number, Variant variant) = 0;
};

struct RaceEntry {
  const char *name, *wrong, *right;
  std::unique_ptr<Race> (*make)(const Gpu& gpu);
};

// All of races.def.
std::span<const RaceEntry> all_races();

#define RACE(name, wrong, right) std::unique_ptr<Race> make_##name(const Gpu& gpu);
#include "races.def"
#undef RACE

}  // namespace races
