// How this process's driver is reached: the definitions after ours, libcuda's own functions, and
// which hook stands for which function. Built once libcuda is loaded, published as a whole, then
// immutable. Locking: none: the loader's lock may be held by whoever asks, so two threads may build
// one each, and the first to publish wins.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "interpose/functions.h"
#include "runtime/driver.h"

namespace vhbm::interpose {

class Linkage {
 public:
  Functions next;  // what the name means after us: another preloaded library's, or libcuda's
  Functions own;   // libcuda's; for calls that come back to us from behind
  Queries ask;
  Driver driver;                  // libcuda's own, for the runtime
  const char* missing = nullptr;  // a function without which vHBM cannot work

  // The hook that stands for `function`, or `function` itself. Hot.
  [[nodiscard]] void* hook_or(void* function) const noexcept {
    for (std::size_t i = slot_of(function);; i = (i + 1) % slots) {
      if (hooked_[i].function == function) return hooked_[i].hook;
      if (hooked_[i].function == nullptr) return function;
    }
  }

 private:
  friend const Linkage* link_up() noexcept;
  explicit Linkage(void* libcuda);
  void stands_for(void* function, void* hook);

  struct Hooked {
    void* function;
    void* hook;
  };
  static constexpr std::size_t slots = 2048;  // at most two functions a row: a quarter full
  static std::size_t slot_of(const void* function) {
    return (reinterpret_cast<std::uintptr_t>(function) >> 4) * 0x9e3779b97f4a7c15u >> 53;
  }
  std::array<Hooked, slots> hooked_{};
};

extern constinit std::atomic<const Linkage*> published_linkage;
// nullptr while libcuda is not loaded.
const Linkage* link_up() noexcept;
// No answer is replaced then. What was linked still comes through us, and goes straight on.
bool disabled_by_environment() noexcept;

// Hot.
inline const Linkage* linkage() noexcept {
  const Linkage* published = published_linkage.load(std::memory_order_acquire);
  return published != nullptr ? published : link_up();
}

}  // namespace vhbm::interpose
