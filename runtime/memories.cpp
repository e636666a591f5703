#include "runtime/memories.h"

namespace vhbm {

Memory& Memories::add(std::unique_ptr<Memory> memory) {
  memory->id = {++next_id_};
  Memory& added = *memory;
  by_id_.emplace(added.id.value, std::move(memory));
  bytes_.fetch_add(added.size.value, std::memory_order_relaxed);
  return added;
}

Memory* Memories::find(CUmemGenericAllocationHandle handle) const {
  if (!is_handle(handle)) return nullptr;
  const auto found = by_id_.find(handle & id_mask);
  if (found == by_id_.end() || found->second->handles == 0) return nullptr;
  return found->second.get();
}

void Memories::fix(Memory& memory, CUmemGenericAllocationHandle real) {
  memory.real = real;
  memory.fixed = true;
  bytes_.fetch_sub(memory.size.value, std::memory_order_relaxed);
}

void Memories::erase(const Memory& memory) {
  if (!memory.fixed) bytes_.fetch_sub(memory.size.value, std::memory_order_relaxed);
  by_id_.erase(memory.id.value);
}

}  // namespace vhbm
