#include "race.h"

namespace races {

std::span<const RaceEntry> all_races() {
  static constexpr RaceEntry entries[] = {
#define RACE(name, wrong, right) {#name, wrong, right, &make_##name},
#include "races.def"
#undef RACE
  };
  return entries;
}

}  // namespace races
