#include "engine/memory_operation.h"

#include <atomic>

namespace simgpu {
namespace {

template <typename Word, typename Difference>
bool is_satisfied_as(const MemoryOperation& wait) {
  const Word found = __atomic_load_n(reinterpret_cast<const Word*>(wait.address), __ATOMIC_ACQUIRE);
  const Word value = static_cast<Word>(wait.value);
  switch (wait.condition) {
    case CU_STREAM_WAIT_VALUE_EQ:
      return found == value;
    case CU_STREAM_WAIT_VALUE_AND:
      return (found & value) != 0;
    case CU_STREAM_WAIT_VALUE_NOR:
      return static_cast<Word>(~(found | value)) != 0;
    default:  // "a cyclic comparison which ignores wraparound"
      return static_cast<Difference>(found - value) >= 0;
  }
}

}  // namespace

bool is_satisfied(const MemoryOperation& wait) {
  return wait.bytes == 8 ? is_satisfied_as<std::uint64_t, std::int64_t>(wait)
                         : is_satisfied_as<std::uint32_t, std::int32_t>(wait);
}

void perform(const MemoryOperation& operation) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (operation.kind != MemoryOperation::Kind::write) return;
  if (operation.bytes == 8) {
    __atomic_store_n(reinterpret_cast<std::uint64_t*>(operation.address), operation.value,
                     __ATOMIC_RELEASE);
  } else {
    __atomic_store_n(reinterpret_cast<std::uint32_t*>(operation.address),
                     static_cast<std::uint32_t>(operation.value), __ATOMIC_RELEASE);
  }
}

}  // namespace simgpu
