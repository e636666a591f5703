#include "runtime/fixing.h"

namespace vhbm {

Status Fixing::fix(Memory& memory) {
  return memory.region != nullptr ? fix_mapped(memory) : fix_unmapped(memory);
}

Status Fixing::fix_mapped(Memory& memory) {
  Region& region = *memory.region;
  Status status = gathering_.gather(region.view.base, memory.properties);
  if (!status.ok()) return status;
  std::lock_guard lock(device_.lock);
  hand_over(memory, region.whole);
  device_.regions.withdraw(region);
  (void)allocator_.retract(region);
  memory.region = nullptr;
  memory.mappings = 1;
  return {};
}

Status Fixing::fix_unmapped(Memory& memory) {
  const auto made = gathering_.gather(memory.frames, memory.properties);
  if (!made.ok()) return made.status();
  std::lock_guard lock(device_.lock);
  hand_over(memory, *made);
  device_.give_back(memory.frames);
  return {};
}

void Fixing::hand_over(Memory& memory, CUmemGenericAllocationHandle real) {
  device_.memories->fix(memory, real);
  device_.stats.add(Stat::fixed_bytes, memory.size.value);
}

void Fixing::forget(const Memory& memory) {
  device_.frames->native_freed(memory.size);
  // Unsigned arithmetic: a decrease wraps around to the right sum.
  device_.stats.add(Stat::fixed_bytes, Bytes{0}.value - memory.size.value);
}

}  // namespace vhbm
