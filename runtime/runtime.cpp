// Ties the device, its allocator and its pager together; the hot functions are here, and touch
// nothing but the page table, a region's heat and a counter.
#include "runtime/runtime.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <thread>

#include "runtime/allocator.h"
#include "runtime/context_scope.h"
#include "runtime/device.h"
#include "runtime/host_pool.h"
#include "runtime/log.h"
#include "runtime/pager.h"

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

class Runtime::Impl {
 public:
  Impl(std::unique_ptr<Device> started, Decisions decisions)
      : device(std::move(started)),
        allocator(*device),
        pager(*device, allocator, gate, decisions),
        host_pool(*device) {}

  [[nodiscard]] bool ended() const { return pager.ended() && host_pool.ended(); }

  const std::unique_ptr<Device> device;
  Gate gate;
  Allocator allocator;
  Pager pager;
  HostPool host_pool;
  const pid_t owner = getpid();
};

Runtime::Runtime() = default;

Runtime::~Runtime() {
  stop();
  // A pager that is stuck in the driver still needs all of this; the child of a fork has no driver
  // to give anything back to.
  if (impl_ == nullptr) return;
  if (impl_->ended() && getpid() == impl_->owner) {
    impl_->allocator.give_up_idle(IdleRegions::Clock::now());
    impl_->allocator.retry_refused();
  } else {
    (void)impl_.release();
  }
}

Result<std::unique_ptr<Runtime>> Runtime::start(const Driver& driver, const Options& options,
                                                Decisions decisions) {
  try {
    set_log_level(options.log);
    auto device = Device::start(driver, options);
    if (!device.ok()) return device.status();
    std::unique_ptr<Runtime> runtime(new Runtime);
    runtime->window_ = Window((*device)->space.begin(), (*device)->space.size());
    runtime->impl_ = std::make_unique<Impl>(std::move(*device), decisions);
    runtime->gate_ = &runtime->impl_->gate;
    Status status = runtime->impl_->pager.start();
    if (status.ok()) status = runtime->impl_->host_pool.start();
    if (!status.ok()) return status;
    return runtime;
  } catch (const std::bad_alloc&) {
    return Status(Errc::system_error, "no memory to start with");
  }
}

Result<DeviceAddress> Runtime::allocate(Bytes size) {
  try {
    return impl_->allocator.allocate(size);
  } catch (const std::bad_alloc&) {
    return Status(Errc::out_of_memory, "no memory for the region's own records");
  }
}

Status Runtime::free(DeviceAddress base) {
  return impl_->allocator.free(base);
}

Result<DeviceAddress> Runtime::allocate_in_order(Bytes size, const StreamOrder& order,
                                                 CUmemoryPool pool) {
  try {
    return impl_->allocator.allocate_in_order(size, order, pool);
  } catch (const std::bad_alloc&) {
    return Status(Errc::out_of_memory, "no memory for the region's own records");
  }
}

Status Runtime::free_in_order(DeviceAddress base, const StreamOrder& order) {
  try {
    return impl_->allocator.free_in_order(base, order, *gate_);
  } catch (const std::bad_alloc&) {
    return Status(Errc::out_of_memory, "no memory to note the free in");
  }
}

void Runtime::trim_idle(Bytes keep) {
  Device& device = *impl_->device;
  RelaxedCapture relaxed(device.driver);
  std::lock_guard lock(device.lock);
  const Bytes live = device.regions.live_bytes(RegionKind::stream_ordered);
  impl_->allocator.give_up_idle(IdleRegions::Clock::now(), saturating_minus(keep, live));
}

PoolUse Runtime::pool_use() const {
  std::lock_guard lock(impl_->device->lock);
  return impl_->allocator.pool_use();
}

void Runtime::reset_pool_marks(bool used, bool reserved) {
  std::lock_guard lock(impl_->device->lock);
  impl_->allocator.reset_pool_marks(used, reserved);
}

MemoryInfo Runtime::memory_info() const {
  const Device& device = *impl_->device;
  const Frames::Limits& limits = device.frames->limits();
  device.frames->pools_hold(device.pool_watch.held());
  MemoryInfo told = memory_told(device.options, device.total, {limits.hbm, limits.host},
                                device.regions.live_bytes() + device.frames->native());
  if (device.options.report == Report::virtual_memory) {
    told.free = saturating_minus(told.free, std::min(device.frames->host_locked(), limits.host));
  }
  return told;
}

std::optional<RegionView> Runtime::find(DeviceAddress address) const {
  return owns(address) ? impl_->device->regions.find(address) : std::nullopt;
}

void Runtime::native_allocated(Bytes size) {
  Device& device = *impl_->device;
  device.frames->native_allocated(size);
  const auto deadline = std::chrono::steady_clock::now() + native_patience;
  while (device.frames->over_limit()) {
    {
      std::lock_guard lock(device.lock);
      device.frames->trim();
      if (!device.frames->over_limit() || device.frozen() || device.drain.capturing()) return;
    }
    // Pooled frames were not enough: the pager has to evict. What it cannot do in time, because the
    // GPU never gets quiet, must not hold the application up: the driver then decides.
    if (std::chrono::steady_clock::now() >= deadline) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void Runtime::native_freed(Bytes size) {
  impl_->device->frames->native_freed(size);
}

void Runtime::host_locked(Bytes size) {
  impl_->device->frames->host_locked(size);
}

void Runtime::host_unlocked(Bytes size) {
  impl_->device->frames->host_unlocked(size);
}

void Runtime::pool_created(CUmemoryPool pool) {
  impl_->device->pool_watch.created(pool);
}

void Runtime::pool_destroyed(CUmemoryPool pool) {
  impl_->device->pool_watch.destroyed(pool);
}

void Runtime::passed_through() noexcept {
  impl_->device->stats.add(Stat::passed_through, 1);
}

void Runtime::context_created(CUcontext context) {
  impl_->device->drain.context_created(context);
}

void Runtime::context_destroyed(CUcontext context) {
  Device& device = *impl_->device;
  wait_for(device.driver, context);
  impl_->allocator.free_all(context);
  std::lock_guard lock(device.lock);
  device.precopy.context_destroyed(context, *device.frames);
  device.kernels.context_destroyed(context);
  if (device.copier.context() == context) {
    for (Frame* frame : device.quarantine) device.frames->give_back(frame);
    device.quarantine.clear();
  }
  device.copier.context_destroyed(context);
  device.drain.context_destroyed(context);
}

void Runtime::stream_created(CUcontext context, CUstream stream) {
  impl_->device->drain.stream_created(context, stream);
}

void Runtime::stream_destroyed(CUstream stream) {
  impl_->device->drain.stream_destroyed(stream);
}

void Runtime::capture_began() {
  impl_->device->drain.capture_began();
}

void Runtime::capture_ended() {
  impl_->device->drain.capture_ended();
}

void Runtime::touched(DeviceAddress address, Bytes length, Access access) noexcept {
  if (!owns(address) || length.value == 0) return;
  Device& device = *impl_->device;
  if (access != Access::read) {
    const std::uint32_t region = device.pages.region(device.page_of(address));
    if (region != PageTable::no_region) device.regions.wrote(region, access, length);
  }
  const Epoch now = device.now.load(std::memory_order_relaxed);
  const std::uint32_t stride = device.pages_per_chunk();
  const std::uint64_t left_in_window = window_.end() - address.value;
  const DeviceAddress last = address + Bytes{std::min(length.value, left_in_window) - 1};
  const std::uint32_t end = device.page_of(last).value;
  std::uint64_t in_place = 0;
  for (std::uint32_t page = device.page_of(address).value / stride * stride; page <= end;
       page += stride) {
    device.pages.touch({page}, now);
    if (device.pages.state({page}) == PageState::host_mapped) ++in_place;
  }
  if (in_place == 0) return;
  const std::uint64_t bytes = std::min(length.value, in_place * stride * base_page.value);
  device.stats.add(Stat::named_in_place_bytes, bytes);
}

void Runtime::named(std::span<const std::uint64_t> addresses) noexcept {
  Device& device = *impl_->device;
  const Epoch now = device.now.load(std::memory_order_relaxed);
  Bytes in_place;
  for (const std::uint64_t address : addresses) {
    if (!window_.contains(address)) continue;
    const std::uint32_t region = device.pages.region(device.page_of({address}));
    if (region == PageTable::no_region) continue;
    device.regions.named(region, now);
    in_place += device.regions.host_mapped(region);
  }
  if (in_place.value != 0) device.stats.add(Stat::named_in_place_bytes, in_place.value);
}

void Runtime::launched() noexcept {
  impl_->device->launches.add_one();
}

void Runtime::per_thread_stream_used() noexcept {
  impl_->device->drain.per_thread_stream_used();
}

void Runtime::quiet_point() noexcept {
  impl_->pager.quiet_point();
}

void Runtime::stop() noexcept {
  if (impl_ == nullptr) return;
  impl_->host_pool.stop();
  impl_->pager.stop();
  if (getpid() == impl_->owner) {
    impl_->device->region_table.withdraw();
    return;
  }
  // The parent's flip may have been under way: nobody here would open the gate again.
  gate_->open();
  impl_->device->stats.unshare_in_child();
  impl_->device->region_table.unshare_in_child();
}

}  // namespace vhbm
