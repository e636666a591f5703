#include "interpose/native_books.h"

namespace vhbm::interpose {

void NativeBooks::add(NativeKind kind, std::uint64_t handle, CUcontext context, CUdevice device,
                      Bytes size) {
  std::lock_guard lock(mutex_);
  entries_[{kind, handle}] = {context, device, size};
}

void NativeBooks::take_off(NativeKind kind, const Entry& entry, Runtime& runtime) noexcept {
  if (kind == NativeKind::host) {
    runtime.host_unlocked(entry.size);
  } else {
    runtime.native_freed(entry.device, entry.size);
  }
}

void NativeBooks::freed(NativeKind kind, std::uint64_t handle, Runtime& runtime) noexcept {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find({kind, handle});
  if (found == entries_.end()) return;
  take_off(kind, found->second, runtime);
  entries_.erase(found);
}

void NativeBooks::context_destroyed(CUcontext context, CUcontext heir, Runtime& runtime) noexcept {
  std::lock_guard lock(mutex_);
  for (auto next = entries_.begin(); next != entries_.end();) {
    const auto entry = next++;
    if (entry->second.context != context) continue;
    if (heir != nullptr) {
      entry->second.context = heir;
      continue;
    }
    take_off(entry->first.first, entry->second, runtime);
    entries_.erase(entry);
  }
}

}  // namespace vhbm::interpose
