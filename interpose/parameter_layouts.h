// How a kernel's arguments are read: the size of each of its parameters, learnt at its first
// launch. Layouts are shared by all functions that have the same one and are kept for good, so a
// launch may read one while its module is unloaded. Locking: find() none; learn() and forget() a
// mutex.
#pragma once

#include <cuda.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <set>
#include <vector>

#include "interpose/functions.h"
#include "interpose/handle_table.h"

namespace vhbm {
class KvLayouts;
struct KvMatch;
}  // namespace vhbm

namespace vhbm::interpose {

struct ParameterLayout {
  // Whole 8-byte words of each parameter, in order. A pointer lies at a multiple of 8 in its
  // parameter, also inside a struct.
  std::vector<std::uint32_t> words;
  KvMatch* kv = nullptr;  // of a kernel that a KV layout describes

  auto operator<=>(const ParameterLayout&) const = default;
};

class ParameterLayouts {
 public:
  // Before the first is learnt: kernels that these describe are to be known as such.
  void describe_by(KvLayouts* layouts) noexcept { kv_layouts_.store(layouts); }
  // Whether to ask the driver also while a stream is being captured, which these questions do not
  // disturb: a server may capture a kernel that it never launches otherwise.
  [[nodiscard]] bool learns_in_captures() const noexcept {
    return kv_layouts_.load(std::memory_order_relaxed) != nullptr;
  }
  // Hot. nullptr when the function was not seen yet.
  [[nodiscard]] const ParameterLayout* find(CUfunction function) const noexcept {
    return known_.find(function);
  }
  // Asks the driver; one without parameters when it cannot tell. nullptr before 12.4, or when there
  // are more functions than can be kept.
  const ParameterLayout* learn(CUfunction function, const Queries& ask) noexcept;
  // A module was unloaded: its functions' handles may come back for others.
  void forget() noexcept;

 private:
  std::atomic<KvLayouts*> kv_layouts_{nullptr};
  std::mutex mutex_;
  std::set<ParameterLayout> layouts_;
  std::atomic<bool> full_{false};
  HandleTable<ParameterLayout, 8192> known_;
};

}  // namespace vhbm::interpose
