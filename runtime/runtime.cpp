// Sends each call to the device that it is about: by the address, or by the current context.
#include "runtime/runtime.h"

#include <array>
#include <new>

#include "runtime/devices.h"
#include "runtime/kv_heat.h"
#include "runtime/log.h"
#include "runtime/peers.h"

namespace vhbm {
namespace {

// What cannot be read is told in one line, and done without.
void load_kv_layouts(const Text& chosen, Process& process) {
  if (chosen.empty()) return;
  auto loaded = KvLayouts::load(chosen);
  if (loaded.ok()) {
    process.kv_layouts = std::move(*loaded);
  } else {
    log_error("{}; block tables are not looked at", loaded.status().message());
  }
}

}  // namespace

Runtime::Runtime() = default;

Runtime::~Runtime() {
  stop();
  if (devices_ == nullptr) return;
  bool ended = getpid() == devices_->owner;
  ended = ended && devices_->exports.ended() && devices_->sleep.ended() && devices_->orders.ended();
  ended = ended && (devices_->share == nullptr || devices_->share->ended());
  devices_->each([&](const PagedDevice& one) { ended = ended && one.ended(); });
  // A pager that is stuck in the driver still needs all of this; the child of a fork has no driver
  // to give anything back to.
  if (!ended) {
    (void)devices_.release();
    return;
  }
  devices_->each([](PagedDevice& one) {
    one.allocator.give_up_idle(IdleRegions::Clock::now());
    one.allocator.retry_refused();
    delete &one;
  });
}

Result<std::unique_ptr<Runtime>> Runtime::start(const Driver& driver, const Options& options,
                                                Decisions decisions,
                                                std::unique_ptr<BlockStore> below,
                                                std::unique_ptr<KernelTimes> kernel_times) {
  try {
    set_log_level(options.log);
    std::unique_ptr<Runtime> runtime(new Runtime);
    runtime->devices_ = std::make_unique<Devices>(driver, options, decisions);
    runtime->devices_->process.kernels.set_source(std::move(kernel_times));
    load_kv_layouts(options.kv_layouts, runtime->devices_->process);
    if (Status status = runtime->add_device(); !status.ok()) return status;
    if (below != nullptr) runtime->devices_->spill_to(std::move(below));
    if (options.share_gpu && decisions.share_out != nullptr) runtime->devices_->share_gpus();
    if (Status status = runtime->devices_->sleep.start(); !status.ok()) return status;
    if (GpuShare* const share = runtime->devices_->share.get(); share != nullptr) {
      if (Status status = share->start(); !status.ok()) return status;
    }
    runtime->devices_->orders.start();
    runtime->window_ = runtime->devices_->process.window.whole();
    runtime->gate_ = &runtime->devices_->process.gate;
    return runtime;
  } catch (const std::bad_alloc&) {
    return Status(Errc::system_error, "no memory to start with");
  }
}

Status Runtime::add_device() {
  try {
    std::lock_guard lock(devices_->starting);
    if (devices_->here() != nullptr) return {};
    auto started = PagedDevice::start(devices_->driver, devices_->options, devices_->process,
                                      devices_->decisions);
    if (!started.ok()) return started.status();
    const auto which = static_cast<std::size_t>((*started)->device->ordinal);
    if (which >= Devices::most) return {Errc::unsupported, "there are more devices than expected"};
    PagedDevice& added = **started;
    devices_->devices[which].store(started->release(), std::memory_order_release);
    if (devices_->share != nullptr) devices_->share->join(added);
    return {};
  } catch (const std::bad_alloc&) {
    return {Errc::system_error, "no memory to start with"};
  }
}

bool Runtime::pages(CUdevice device) const noexcept {
  return devices_->on(device) != nullptr;
}

Result<DeviceAddress> Runtime::allocate(Bytes size) {
  PagedDevice* const device = devices_->here();
  if (device == nullptr) return Status(Errc::frozen, "this device's memory is not paged");
  try {
    return device->allocator.allocate(size);
  } catch (const std::bad_alloc&) {
    return Status(Errc::out_of_memory, "no memory for the region's own records");
  }
}

Status Runtime::free(DeviceAddress base) {
  PagedDevice* const device = owns(base) ? devices_->at(base.value) : nullptr;
  if (device == nullptr) return {Errc::invalid_value, "not the base of a live region"};
  device->kv_goes(base);
  return device->allocator.free(base);
}

VirtualMemory* Runtime::virtual_memory_on(CUdevice device) const noexcept {
  PagedDevice* const one = devices_->on(device);
  return one == nullptr ? nullptr : &one->virtual_memory;
}

VirtualMemory* Runtime::virtual_memory_at(AddressRange range) const noexcept {
  VirtualMemory* found = nullptr;
  devices_->each([&](PagedDevice& one) {
    if (found == nullptr && one.virtual_memory.concerns(range)) found = &one.virtual_memory;
  });
  return found;
}

std::optional<AddressRange> Runtime::reservation(DeviceAddress inside) const {
  const PagedDevice* const one = owns(inside) ? devices_->at(inside.value) : nullptr;
  return one == nullptr ? std::nullopt : one->device->reservations.find(inside);
}

MemoryInfo Runtime::memory_info(CUdevice device) const {
  const PagedDevice* const one = devices_->on(device);
  return one == nullptr ? MemoryInfo{} : one->memory_info();
}

CUdevice Runtime::current_device() const noexcept {
  return devices_->current();
}

Result<DeviceAddress> Runtime::allocate_in_order(CUdevice device, Bytes size,
                                                 const StreamOrder& order, CUmemoryPool pool) {
  PagedDevice* const one = devices_->on(device);
  if (one == nullptr) return Status(Errc::frozen, "this device's memory is not paged");
  try {
    return one->allocator.allocate_in_order(size, order, pool);
  } catch (const std::bad_alloc&) {
    return Status(Errc::out_of_memory, "no memory for the region's own records");
  }
}

Status Runtime::free_in_order(DeviceAddress base, const StreamOrder& order) {
  PagedDevice* const device = owns(base) ? devices_->at(base.value) : nullptr;
  if (device == nullptr) return {Errc::invalid_value, "not the base of a live region"};
  try {
    device->kv_goes(base);
    return device->allocator.free_in_order(base, order, *gate_);
  } catch (const std::bad_alloc&) {
    return Status(Errc::out_of_memory, "no memory to note the free in");
  }
}

void Runtime::trim_idle(CUdevice device, Bytes keep) {
  if (PagedDevice* const one = devices_->on(device); one != nullptr) one->trim_idle(keep);
}

PoolUse Runtime::pool_use(CUdevice device) const {
  PagedDevice* const one = devices_->on(device);
  return one == nullptr ? PoolUse{} : one->pool_use();
}

void Runtime::reset_pool_marks(CUdevice device, bool used, bool reserved) {
  if (PagedDevice* const one = devices_->on(device); one != nullptr) {
    one->reset_pool_marks(used, reserved);
  }
}

std::optional<RegionView> Runtime::find(DeviceAddress address) const {
  const PagedDevice* const device = owns(address) ? devices_->at(address.value) : nullptr;
  return device == nullptr ? std::nullopt : device->device->regions.find(address);
}

void Runtime::native_allocated(Bytes size) {
  if (PagedDevice* const one = devices_->here(); one != nullptr) one->native_allocated(size);
}

void Runtime::native_freed(CUdevice device, Bytes size) {
  PagedDevice* const one = devices_->on(device);
  if (one != nullptr) one->device->frames->native_freed(size);
}

void Runtime::host_locked(Bytes size) {
  devices_->process.host.application_locked(size);
  devices_->publish_application_host();
}

void Runtime::host_unlocked(Bytes size) {
  devices_->process.host.application_unlocked(size);
  devices_->publish_application_host();
}

void Runtime::pool_created(CUdevice device, CUmemoryPool pool) {
  if (PagedDevice* const one = devices_->on(device); one != nullptr) {
    one->device->pool_watch.created(pool);
  }
}

void Runtime::pool_destroyed(CUmemoryPool pool) {
  devices_->each([&](PagedDevice& one) { one.device->pool_watch.destroyed(pool); });
}

void Runtime::passed_through() noexcept {
  PagedDevice* const one = devices_->here();
  if (one != nullptr) one->device->stats.add(Stat::passed_through, 1);
}

void Runtime::context_created(CUcontext context) {
  devices_->process.drain.context_created(context);
}

void Runtime::context_destroyed(CUcontext context, CUcontext heir) {
  devices_->each([&](PagedDevice& one) { one.context_destroyed(context, heir); });
  devices_->process.drain.context_destroyed(context);
}

void Runtime::stream_created(CUcontext context, CUstream stream) {
  devices_->process.drain.stream_created(context, stream);
}

void Runtime::stream_destroyed(CUstream stream) {
  devices_->process.drain.stream_destroyed(stream);
}

void Runtime::capture_began() {
  devices_->process.drain.capture_began();
}

void Runtime::capture_ended() {
  devices_->process.drain.capture_ended();
}

Status Runtime::set_peers(CUdevice device, std::span<const CUdevice> peers) {
  PagedDevice* const one = devices_->on(device);
  if (one == nullptr) return {};
  try {
    return vhbm::set_peers(*one->device, peers);
  } catch (const std::bad_alloc&) {
    return Status(Errc::out_of_memory, "no memory for the list of peers");
  }
}

void Runtime::touched(DeviceAddress address, Bytes length, Access access) noexcept {
  if (!owns(address) || length.value == 0) return;
  if (PagedDevice* const device = devices_->at(address.value); device != nullptr) {
    device->touched(address, length, access);
  }
}

void Runtime::named(std::span<const std::uint64_t> addresses) noexcept {
  // Values of its own, which the marks that are left below cannot change.
  const Window window = window_;
  const SharedWindow& parts = devices_->process.window;
  std::uint64_t begin = 1, size = 0;  // of the device's part: nearly always all are in one
  Device* device = nullptr;
  Epoch now = 0;
  Bytes in_place;
  std::array<std::uint32_t, 32> used;
  std::size_t uses = 0;
  const auto count = [&] {
    if (in_place.value != 0) device->stats.add(Stat::named_in_place_bytes, in_place.value);
    in_place = {};
    if (uses != 0) device->uses.add(std::span(used).first(uses));
    uses = 0;
  };
  for (const std::uint64_t address : addresses) {
    if (address - begin >= size) {
      if (!window.contains(address)) continue;
      PagedDevice* const one = devices_->on(static_cast<CUdevice>(parts.device_of(address)));
      if (one == nullptr) continue;
      count();
      device = one->device.get();
      begin = device->space.begin().value;
      size = device->space.size().value;
      now = device->now.load(std::memory_order_relaxed);
    }
    const ChunkId page{static_cast<std::uint32_t>((address - begin) / base_page.value)};
    const std::uint32_t region = device->pages.region(page);
    if (region == PageTable::no_region) continue;
    device->regions.named(region, now);
    if (uses == 0 || used[uses - 1] != region) used[uses++] = region;
    if (uses == used.size()) count();
    in_place += device->regions.host_mapped(region);
  }
  count();
}

KvLayouts* Runtime::kv_layouts() const noexcept {
  return devices_->process.kv_layouts.get();
}

bool Runtime::wants_look(const KvMatch& match, const KvLaunchShape& shape) const noexcept {
  bool any = false;
  devices_->each([&](PagedDevice& one) {
    any = any || (one.device->kv != nullptr && one.device->kv->wants(match, shape));
  });
  return any;
}

void Runtime::launches(KvMatch& match, const KvLaunch& launch) noexcept {
  devices_->each([&](PagedDevice& one) {
    if (one.device->kv != nullptr) one.device->kv->launch(match, launch);
  });
}

void Runtime::native_goes(DeviceAddress base) noexcept {
  devices_->each([&](PagedDevice& one) {
    if (one.device->kv != nullptr) one.device->kv->memory_goes(base, {1});
  });
}

void Runtime::per_thread_stream_used() noexcept {
  devices_->process.drain.per_thread_stream_used();
}

void Runtime::wait_begins() noexcept {
  devices_->process.waits_for_gpu.fetch_add(1, std::memory_order_relaxed);
}

void Runtime::wait_ends() noexcept {
  devices_->process.waits_for_gpu.fetch_sub(1, std::memory_order_relaxed);
}

void Runtime::quiet_point() noexcept {
  devices_->each([](PagedDevice& one) { one.pager.quiet_point(); });
}

Sleep& Runtime::sleep() noexcept {
  return devices_->sleep;
}

void Runtime::stop() noexcept {
  if (devices_ == nullptr) return;
  devices_->exports.stop();
  devices_->orders.stop();
  if (devices_->share != nullptr) devices_->share->stop();
  devices_->sleep.stop();
  const bool child = getpid() != devices_->owner;
  if (child) {
    devices_->each([](PagedDevice& one) { one.device->recording.leave_to_parent(); });
  }
  devices_->each([](PagedDevice& one) { one.stop(); });
  // The parent's flip may have been under way: nobody here would open the gate again.
  if (child) gate_->open();
  if (devices_->share != nullptr) {
    child ? devices_->share->leave_to_parent() : devices_->share->withdraw();
  }
  devices_->each([&](PagedDevice& one) {
    if (!child) return one.device->region_table.withdraw();
    one.device->stats.unshare_in_child();
    one.device->region_table.unshare_in_child();
  });
}

}  // namespace vhbm
