// The hot functions touch nothing but the page table, a region's heat and a counter.
#include "runtime/paged_device.h"

#include <algorithm>
#include <chrono>

#include "runtime/context_scope.h"
#include "runtime/kv_heat.h"

namespace vhbm {
namespace {

// How long an allocation of the driver's own waits for the limit to hold with it.
constexpr std::chrono::seconds native_patience{1};

// A context that cannot be waited for three times is lost, and its work with it.
void wait_for(const Driver& driver, CUcontext context) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    ContextScope scope(driver, context);
    if (scope.result() == CUDA_SUCCESS && driver.cuCtxSynchronize() == CUDA_SUCCESS) return;
  }
}

}  // namespace

Result<std::unique_ptr<PagedDevice>> PagedDevice::start(const Driver& driver,
                                                        const Options& options, Process& process,
                                                        Decisions decisions) {
  auto device = Device::start(driver, options, process);
  if (!device.ok()) return device.status();
  std::unique_ptr<PagedDevice> started(new PagedDevice(std::move(*device), process, decisions));
  if (started->device->is_first) started->device->recording.start_by_options();
  Status status = started->pager.start();
  if (status.ok()) status = started->host_pool.start();
  if (!status.ok()) return status;
  return started;
}

MemoryInfo PagedDevice::memory_info() const {
  device->frames->pools_hold(device->pool_watch.held());
  // Which are counted as regions already.
  const Bytes gathered{device->stats.get(Stat::gathered_bytes)};
  const Bytes live = device->regions.live_bytes(RegionKind::plain) +
                     device->regions.live_bytes(RegionKind::stream_ordered) +
                     device->memories->bytes() +
                     saturating_minus(device->frames->native(), gathered);
  MemoryInfo told = memory_told(device->options, device->total, device->told, live);
  if (device->options.report == Report::virtual_memory) {
    const Bytes locked = device->process.host.application();
    told.free = saturating_minus(told.free, std::min(locked, device->told.host));
  }
  return told;
}

PoolUse PagedDevice::pool_use() const {
  std::lock_guard lock(device->lock);
  return allocator.pool_use();
}

void PagedDevice::reset_pool_marks(bool used, bool reserved) {
  std::lock_guard lock(device->lock);
  allocator.reset_pool_marks(used, reserved);
}

void PagedDevice::native_allocated(Bytes size) {
  device->frames->native_allocated(size);
  // What the pager cannot do in time, because the GPU never gets quiet, must not hold the
  // application up: the driver then decides.
  (void)device->make_room(native_patience);
  device->frames->native_granted(size);
}

void PagedDevice::trim_idle(Bytes keep) {
  RelaxedCapture relaxed(device->driver);
  std::lock_guard lock(device->lock);
  const Bytes live = device->regions.live_bytes(RegionKind::stream_ordered);
  allocator.give_up_idle(IdleRegions::Clock::now(), saturating_minus(keep, live));
}

void PagedDevice::context_destroyed(CUcontext context, CUcontext heir) {
  wait_for(device->driver, context);
  imports.close_all(context);
  if (heir == nullptr) allocator.free_all(context);
  std::lock_guard lock(device->lock);
  if (heir != nullptr) {
    device->regions.hand_over(context, heir);
    device->idle.context_destroyed(context);
  }
  if (device->kv != nullptr) device->kv->context_destroyed(context);
  device->precopy.context_destroyed(context, *device->frames);
  device->kernels.context_destroyed(context);
  if (device->copier.context() == context) {
    for (Frame* frame : device->quarantine) device->frames->give_back(frame);
    device->quarantine.clear();
  }
  device->copier.context_destroyed(context);
}

void PagedDevice::touched(DeviceAddress address, Bytes length, Access access) noexcept {
  const std::uint32_t region = device->pages.region(device->page_of(address));
  if (region != PageTable::no_region) {
    if (access != Access::read) device->regions.wrote(region, access, length);
    device->uses.add({&region, 1});
  }
  const Epoch now = device->now.load(std::memory_order_relaxed);
  const std::uint32_t stride = device->pages_per_chunk();
  const Bytes left = device->space.size() - (address - device->space.begin());
  const DeviceAddress last = address + (std::min(length, left) - Bytes{1});
  const std::uint32_t end = device->page_of(last).value;
  std::uint64_t in_place = 0;
  for (std::uint32_t page = device->page_of(address).value / stride * stride; page <= end;
       page += stride) {
    device->pages.touch({page}, now);
    if (device->pages.state({page}) == PageState::host_mapped) ++in_place;
  }
  if (in_place == 0) return;
  const std::uint64_t bytes = std::min(length.value, in_place * stride * base_page.value);
  device->stats.add(Stat::named_in_place_bytes, bytes);
}

void PagedDevice::kv_goes(DeviceAddress base) noexcept {
  if (device->kv != nullptr) device->kv->memory_goes(base, {1});
}

void PagedDevice::stop() noexcept {
  host_pool.stop();
  pager.stop();
  // What was used since the pager's last look.
  if (device->recording.is_on() && pager.ended()) {
    const std::lock_guard lock(device->lock);
    device->learn_uses();
    device->recording.round();
  }
  device->recording.stop("the process ended");
}

}  // namespace vhbm
