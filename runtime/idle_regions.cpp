// The youngest that fits is taken, so that those a smaller step does not need grow old.
#include "runtime/idle_regions.h"

#include <algorithm>

#include "runtime/context_scope.h"

namespace vhbm {

IdleRegions::~IdleRegions() {
  for (const Event& spare : spare_) {
    ContextScope scope(driver_, spare.context);
    if (scope.result() == CUDA_SUCCESS) driver_.cuEventDestroy_v2(spare.event);
  }
}

CUevent IdleRegions::spare_event(CUcontext context) {
  const auto found = std::find_if(spare_.begin(), spare_.end(),
                                  [&](const Event& spare) { return spare.context == context; });
  if (found == spare_.end()) return nullptr;
  const CUevent event = found->event;
  spare_.erase(found);
  return event;
}

void IdleRegions::add(Region* region, const StreamOrder& freed_on, CUevent event) {
  idle_.push_back({region, freed_on, event, Clock::now()});
  mapped_ += region->mapped_size();
}

bool IdleRegions::reached(Idle& idle) {
  if (idle.event == nullptr) return true;
  ContextScope scope(driver_, idle.freed_on.context);
  // What cannot be told now is asked again.
  if (scope.result() != CUDA_SUCCESS || driver_.cuEventQuery(idle.event) != CUDA_SUCCESS) {
    return false;
  }
  recycle(idle.freed_on.context, idle.event);
  idle.event = nullptr;
  return true;
}

Region* IdleRegions::take(std::vector<Idle>::iterator idle) {
  if (idle->event != nullptr) recycle(idle->freed_on.context, idle->event);
  Region* const region = idle->region;
  idle_.erase(idle);
  mapped_ = saturating_minus(mapped_, region->mapped_size());
  return region;
}

Region* IdleRegions::take(Bytes mapped, std::uint64_t stream) {
  const auto newest = [&](auto&& fits) {
    return std::find_if(idle_.rbegin(), idle_.rend(), [&](Idle& idle) {
      return idle.region->mapped_size() == mapped && fits(idle);
    });
  };
  auto found = newest([&](Idle& idle) { return stream != 0 && idle.freed_on.id == stream; });
  if (found == idle_.rend()) found = newest([&](Idle& idle) { return reached(idle); });
  return found == idle_.rend() ? nullptr : take(std::prev(found.base()));
}

Region* IdleRegions::take_idle_since(Clock::time_point before) {
  const auto found = std::find_if(idle_.begin(), idle_.end(), [&](Idle& idle) {
    return idle.since <= before && reached(idle);
  });
  return found == idle_.end() ? nullptr : take(found);
}

void IdleRegions::context_destroyed(CUcontext context) {
  for (Idle& idle : idle_) {
    if (idle.freed_on.context == context) idle.event = nullptr;
  }
  std::erase_if(spare_, [&](const Event& spare) { return spare.context == context; });
}

std::vector<Region*> IdleRegions::regions() const {
  std::vector<Region*> regions;
  for (const Idle& idle : idle_) regions.push_back(idle.region);
  return regions;
}

bool IdleRegions::pending() const {
  return std::any_of(idle_.begin(), idle_.end(),
                     [](const Idle& idle) { return idle.event != nullptr; });
}

}  // namespace vhbm
