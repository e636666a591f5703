#include "policies/watermarks.h"

#include <algorithm>

namespace vhbm {

Situation within_watermarks(Situation situation) {
  const Watermarks& marks = situation.watermarks;
  Bytes resident;
  for (const Candidate& candidate : situation.candidates) {
    if (candidate.resident) resident += candidate.size;
  }
  bool& draining = situation.memory.draining;
  if (resident > marks.high) draining = true;
  if (resident <= marks.low) draining = false;
  if (draining) {
    situation.must_leave = std::max(situation.must_leave, saturating_minus(resident, marks.low));
  }
  // What comes shall not make the next drain necessary.
  situation.free_hbm = std::min(situation.free_hbm, saturating_minus(marks.high, resident));
  return situation;
}

}  // namespace vhbm
