#include "interpose/native_books.h"

namespace vhbm::interpose {

void NativeBooks::add(NativeKind kind, std::uint64_t handle, CUcontext context, Bytes size) {
  std::lock_guard lock(mutex_);
  entries_[{kind, handle}] = {context, size};
}

void NativeBooks::take_off(NativeKind kind, const Entry& entry, Runtime& runtime) noexcept {
  if (kind == NativeKind::host) {
    runtime.host_unlocked(entry.size);
  } else {
    runtime.native_freed(entry.size);
  }
}

void NativeBooks::freed(NativeKind kind, std::uint64_t handle, Runtime& runtime) noexcept {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find({kind, handle});
  if (found == entries_.end()) return;
  take_off(kind, found->second, runtime);
  entries_.erase(found);
}

void NativeBooks::context_destroyed(CUcontext context, Runtime& runtime) noexcept {
  std::lock_guard lock(mutex_);
  std::erase_if(entries_, [&](const auto& entry) {
    if (entry.second.context != context) return false;
    take_off(entry.first.first, entry.second, runtime);
    return true;
  });
}

}  // namespace vhbm::interpose
