#include "interpose/told_memory.h"

#include "interpose/process_options.h"
#include "interpose/session.h"

namespace vhbm::interpose {
namespace {

// nullptr where the driver's answers hold.
const Options* options_that_tell() noexcept {
  if (Session::stands_aside()) return nullptr;
  const Linkage* const driver = published_linkage.load(std::memory_order_acquire);
  if (driver != nullptr && driver->missing != nullptr) return nullptr;  // it will not start
  const auto* options = process_options();
  if (options == nullptr || !options->ok() || (*options)->disable) return nullptr;
  return vhbm::tells_other_total(**options) ? &**options : nullptr;
}

}  // namespace

bool tells_other_total() noexcept {
  return options_that_tell() != nullptr;
}

std::optional<MemoryInfo> told_of(CUdevice device, Bytes total, Bytes free) noexcept {
  if (!tells_other_total()) return std::nullopt;
  const Runtime* const runtime = Session::runtime();
  if (runtime == nullptr) return told_before_use(total, free);
  if (runtime->pages(device)) return runtime->memory_info(device);
  if (Session::get().never_pages(device)) return std::nullopt;
  return told_before_use(total, free);
}

std::optional<MemoryInfo> told_before_use(Bytes total, Bytes free) noexcept {
  const Options* const options = options_that_tell();
  if (options == nullptr) return std::nullopt;
  // What the host has counts only where it is told of, and there host_limit is a number already.
  return memory_told(*options, total, capacity_of(*options, total, free, {}), {});
}

}  // namespace vhbm::interpose
