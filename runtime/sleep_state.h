// Whether a process sleeps. Invariant: it changes only by a legal move; the launch gate is closed
// in every state but `awake`, save for a moment while `falling_asleep` begins.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vhbm {

enum class SleepState : std::uint32_t { awake, falling_asleep, asleep, waking };

[[nodiscard]] constexpr const char* name_of(SleepState state) {
  constexpr const char* names[] = {"awake", "falling_asleep", "asleep", "waking"};
  return names[static_cast<std::size_t>(state)];
}

[[nodiscard]] constexpr bool legal_move(SleepState from, SleepState to) {
  switch (from) {
    case SleepState::awake:
      return to == SleepState::falling_asleep;
    case SleepState::falling_asleep:
      // Given up, done, or called back half-way.
      return to != SleepState::falling_asleep;
    case SleepState::asleep:
      return to == SleepState::waking;
    case SleepState::waking:
      return to == SleepState::awake;
  }
  return false;
}

}  // namespace vhbm
