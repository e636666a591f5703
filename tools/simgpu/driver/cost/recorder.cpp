#include "cost/recorder.h"

#include <algorithm>
#include <limits>

#include "engine/statistics.h"
#include "machine.h"

namespace simgpu {
namespace {

constexpr double microsecond = 1e-6, giga = 1e9;

// How many of these bytes lie in host memory, as the GPU sees it.
double host_bytes(const Machine& m, const void* pointer, std::uint64_t length) {
  const CUdeviceptr begin = reinterpret_cast<CUdeviceptr>(pointer), end = begin + length;
  if (!m.space.contains(begin)) {
    const void* base = nullptr;
    const HostRange* range = m.host_memory.find(pointer, &base);
    const bool variable = range != nullptr && (range->flags & kModuleVariable) != 0;
    return variable ? 0 : static_cast<double>(length);
  }
  double bytes = 0;
  for (CUdeviceptr at = begin; at < end;) {
    AddressSpace::Range range{};
    const Mapping* mapping = m.space.find_mapping(at, &range);
    const CUdeviceptr next =
        mapping == nullptr ? (at / kPageSize + 1) * kPageSize : range.begin + range.size;
    if (mapping != nullptr &&
        mapping->frame->properties.location.type != CU_MEM_LOCATION_TYPE_DEVICE) {
      bytes += static_cast<double>(std::min(next, end) - at);
    }
    at = next;
  }
  return bytes;
}

// Of `height` times `depth` rows of `width` bytes.
double host_bytes_of_rows(const Machine& m, const void* first, const CopyWork& copy,
                          std::size_t pitch, std::size_t slice) {
  double bytes = 0;
  for (std::size_t z = 0; z < copy.depth; ++z) {
    for (std::size_t y = 0; y < copy.height; ++y) {
      bytes += host_bytes(m, static_cast<const char*>(first) + z * slice + y * pitch, copy.width);
    }
  }
  return bytes;
}

}  // namespace

Phase phase_of(const CopyWork& copy, const Profile& profile, const Machine& m) {
  const double all = static_cast<double>(copy.width) * copy.height * copy.depth;
  const double from_host = host_bytes_of_rows(m, copy.from, copy, copy.from_pitch, copy.from_slice);
  const double to_host = host_bytes_of_rows(m, copy.to, copy, copy.to_pitch, copy.to_slice);
  Phase phase;
  phase.demand.start = profile.copy_start_us * microsecond;
  phase.demand[Path::to_device] = from_host;
  phase.demand[Path::to_host] = to_host;
  if (from_host > 0) {
    phase.engine = Engine::to_device;
  } else if (to_host > 0) {
    phase.engine = Engine::to_host;
  }
  const double within_device = all - std::max(from_host, to_host);
  if (profile.copy_device_GBps < std::numeric_limits<double>::infinity()) {
    phase.demand.start += within_device / (profile.copy_device_GBps * giga);
  } else {
    phase.demand[Path::memory] = 2 * within_device;  // read and written
  }
  return phase;
}

Phase phase_of(const MemsetWork& set, const Profile& profile, const Machine& m) {
  Phase phase;
  phase.demand.start = profile.launch_kernel_us * microsecond;
  const std::size_t row = set.width * set.element;
  for (std::size_t y = 0; y < set.height; ++y) {
    const double host = host_bytes(m, static_cast<const char*>(set.to) + y * set.pitch, row);
    phase.demand[Path::to_host] += host;
    phase.demand[Path::memory] += static_cast<double>(row) - host;
  }
  return phase;
}

void Recorder::executes(const CopyWork& copy) {
  Machine& m = *machine();
  const auto lock = m.lock();
  phases.push_back(phase_of(copy, profile_, m));
}

void Recorder::executes(const MemsetWork& set) {
  Machine& m = *machine();
  const auto lock = m.lock();
  phases.push_back(phase_of(set, profile_, m));
}

void Recorder::touches(const void* address, std::uint64_t bytes, bool writes) {
  const char* const begin = static_cast<const char*>(address);
  if (bytes == 0) return;
  // Blocks that declare their parts in turn make one range.
  if (!ranges_.empty()) {
    Range& last = ranges_.back();
    if (last.writes == writes && last.begin + last.bytes == begin) {
      last.bytes += bytes;
      return;
    }
  }
  ranges_.push_back({begin, bytes, writes});
}

void Recorder::kernel_ended() {
  Machine& m = *machine();
  Phase phase;
  phase.demand.start = profile_.launch_kernel_us * microsecond;
  const auto lock = m.lock();
  for (const Range& range : ranges_) {
    const double host = host_bytes(m, range.begin, range.bytes);
    phase.demand[range.writes ? Path::to_host : Path::to_device] += host;
    phase.demand[Path::memory] += static_cast<double>(range.bytes) - host;
    statistics().link_bytes.fetch_add(static_cast<std::uint64_t>(host), std::memory_order_relaxed);
  }
  phases.push_back(phase);
  ranges_.clear();
}

void Recorder::may_wait() {
  if (task_ == nullptr || told_) return;
  told_ = true;
  Machine& m = *machine();
  const auto lock = m.lock();
  task_->open = true;
  m.completed.notify_all();
}

}  // namespace simgpu
