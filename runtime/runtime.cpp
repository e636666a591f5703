// Sends each call to the device that it is about: by the address, or by the current context.
#include "runtime/runtime.h"

#include <unistd.h>

#include <array>
#include <mutex>
#include <new>

#include "runtime/context_scope.h"
#include "runtime/exports.h"
#include "runtime/log.h"
#include "runtime/paged_device.h"
#include "runtime/peers.h"
#include "runtime/process.h"

namespace vhbm {
namespace {

// What the driver offers in place of the attribute, which it refuses for mapped memory.
void synchronize_copies(const Driver& driver, CUcontext context) {
#if CUDA_VERSION >= 12010
  if (driver.cuCtxGetFlags == nullptr || driver.cuCtxSetFlags == nullptr) return;
  ContextScope scope(driver, context);
  unsigned flags = 0;
  if (scope.result() == CUDA_SUCCESS && driver.cuCtxGetFlags(&flags) == CUDA_SUCCESS) {
    (void)driver.cuCtxSetFlags(flags | CU_CTX_SYNC_MEMOPS);
  }
#endif
}

}  // namespace

class Runtime::Impl {
 public:
  Impl(const Driver& real_driver, const Options& chosen, Decisions what_to_decide)
      : driver(real_driver),
        options(chosen),
        decisions(what_to_decide),
        process(real_driver),
        exports(
            state_directory(chosen.state_dir),
            [this](RegionId id, DeviceAddress base) { return grant(id, base); },
            [this](RegionId id, DeviceAddress base) { return lives(id, base); }) {}

  [[nodiscard]] bool lives(RegionId id, DeviceAddress base) const {
    const auto region = at(base.value)->device->regions.find(base);
    return region && region->id == id;
  }
  [[nodiscard]] Result<Exports::Granted> grant(RegionId id, DeviceAddress base) const {
    const PagedDevice& one = *at(base.value);
    const auto region = one.device->regions.find(base);
    if (!region) return Status(Errc::invalid_value, "the region was freed");
    const auto file = one.gathering.file_of(id, base);
    if (!file.ok()) return file.status();
    return Exports::Granted{*file, region->size,
                            region->size.rounded_up_to(one.device->frames->frame_size())};
  }

  [[nodiscard]] PagedDevice* on(CUdevice device) const noexcept {
    const auto which = static_cast<std::size_t>(device);
    return which < devices.size() ? devices[which].load(std::memory_order_acquire) : nullptr;
  }
  // Hot. nullptr where no region can be. Requires an address in the window.
  [[nodiscard]] PagedDevice* at(std::uint64_t address) const noexcept {
    return on(static_cast<CUdevice>(process.window.device_of(address)));
  }
  [[nodiscard]] CUdevice current() const noexcept {
    CUdevice device = 0;
    // A second time where the first one failed: memory would go past the pager.
    for (int attempt = 0; attempt < 2; ++attempt) {
      if (driver.cuCtxGetDevice(&device) == CUDA_SUCCESS) return device;
    }
    return -1;
  }
  // The current context's, or nullptr.
  [[nodiscard]] PagedDevice* here() const noexcept { return on(current()); }
  template <typename Work>
  void each(Work&& work) const {
    for (std::uint32_t i = 0; i < process.window.parts(); ++i) {
      if (PagedDevice* const one = on(static_cast<CUdevice>(i)); one != nullptr) work(*one);
    }
  }

  void publish_application_host() const {
    each([&](PagedDevice& one) {
      if (!one.device->is_first) return;
      one.device->stats.set(Stat::application_host_bytes, process.host.application().value);
    });
  }

  const Driver& driver;
  const Options options;
  const Decisions decisions;
  Process process;
  std::mutex starting;
  std::array<std::atomic<PagedDevice*>, most_devices> devices{};  // by ordinal; owned
  Exports exports;
  const pid_t owner = getpid();
};

Runtime::Runtime() = default;

Runtime::~Runtime() {
  stop();
  if (impl_ == nullptr) return;
  bool ended = getpid() == impl_->owner;
  ended = ended && impl_->exports.ended();
  impl_->each([&](const PagedDevice& one) { ended = ended && one.ended(); });
  // A pager that is stuck in the driver still needs all of this; the child of a fork has no driver
  // to give anything back to.
  if (!ended) {
    (void)impl_.release();
    return;
  }
  impl_->each([](PagedDevice& one) {
    one.allocator.give_up_idle(IdleRegions::Clock::now());
    one.allocator.retry_refused();
    delete &one;
  });
}

Result<std::unique_ptr<Runtime>> Runtime::start(const Driver& driver, const Options& options,
                                                Decisions decisions) {
  try {
    set_log_level(options.log);
    std::unique_ptr<Runtime> runtime(new Runtime);
    runtime->impl_ = std::make_unique<Impl>(driver, options, decisions);
    if (Status status = runtime->add_device(); !status.ok()) return status;
    runtime->window_ = runtime->impl_->process.window.whole();
    runtime->gate_ = &runtime->impl_->process.gate;
    return runtime;
  } catch (const std::bad_alloc&) {
    return Status(Errc::system_error, "no memory to start with");
  }
}

Status Runtime::add_device() {
  try {
    std::lock_guard lock(impl_->starting);
    if (impl_->here() != nullptr) return {};
    auto started =
        PagedDevice::start(impl_->driver, impl_->options, impl_->process, impl_->decisions);
    if (!started.ok()) return started.status();
    const auto which = static_cast<std::size_t>((*started)->device->ordinal);
    if (which >= most_devices) return {Errc::unsupported, "there are more devices than expected"};
    impl_->devices[which].store(started->release(), std::memory_order_release);
    return {};
  } catch (const std::bad_alloc&) {
    return {Errc::system_error, "no memory to start with"};
  }
}

bool Runtime::pages(CUdevice device) const noexcept {
  return impl_->on(device) != nullptr;
}

Result<DeviceAddress> Runtime::allocate(Bytes size) {
  PagedDevice* const device = impl_->here();
  if (device == nullptr) return Status(Errc::frozen, "this device's memory is not paged");
  try {
    return device->allocator.allocate(size);
  } catch (const std::bad_alloc&) {
    return Status(Errc::out_of_memory, "no memory for the region's own records");
  }
}

Status Runtime::free(DeviceAddress base) {
  PagedDevice* const device = owns(base) ? impl_->at(base.value) : nullptr;
  if (device == nullptr) return {Errc::invalid_value, "not the base of a live region"};
  return device->allocator.free(base);
}

VirtualMemory* Runtime::virtual_memory_on(CUdevice device) const noexcept {
  PagedDevice* const one = impl_->on(device);
  return one == nullptr ? nullptr : &one->virtual_memory;
}

VirtualMemory* Runtime::virtual_memory_at(AddressRange range) const noexcept {
  VirtualMemory* found = nullptr;
  impl_->each([&](PagedDevice& one) {
    if (found == nullptr && one.virtual_memory.concerns(range)) found = &one.virtual_memory;
  });
  return found;
}

std::optional<AddressRange> Runtime::reservation(DeviceAddress inside) const {
  const PagedDevice* const one = owns(inside) ? impl_->at(inside.value) : nullptr;
  return one == nullptr ? std::nullopt : one->device->reservations.find(inside);
}

MemoryInfo Runtime::memory_info(CUdevice device) const {
  const PagedDevice* const one = impl_->on(device);
  return one == nullptr ? MemoryInfo{} : one->memory_info();
}

CUdevice Runtime::current_device() const noexcept {
  return impl_->current();
}

Result<DeviceAddress> Runtime::allocate_in_order(CUdevice device, Bytes size,
                                                 const StreamOrder& order, CUmemoryPool pool) {
  PagedDevice* const one = impl_->on(device);
  if (one == nullptr) return Status(Errc::frozen, "this device's memory is not paged");
  try {
    return one->allocator.allocate_in_order(size, order, pool);
  } catch (const std::bad_alloc&) {
    return Status(Errc::out_of_memory, "no memory for the region's own records");
  }
}

Status Runtime::free_in_order(DeviceAddress base, const StreamOrder& order) {
  PagedDevice* const device = owns(base) ? impl_->at(base.value) : nullptr;
  if (device == nullptr) return {Errc::invalid_value, "not the base of a live region"};
  try {
    return device->allocator.free_in_order(base, order, *gate_);
  } catch (const std::bad_alloc&) {
    return Status(Errc::out_of_memory, "no memory to note the free in");
  }
}

void Runtime::trim_idle(CUdevice device, Bytes keep) {
  if (PagedDevice* const one = impl_->on(device); one != nullptr) one->trim_idle(keep);
}

PoolUse Runtime::pool_use(CUdevice device) const {
  PagedDevice* const one = impl_->on(device);
  return one == nullptr ? PoolUse{} : one->pool_use();
}

void Runtime::reset_pool_marks(CUdevice device, bool used, bool reserved) {
  if (PagedDevice* const one = impl_->on(device); one != nullptr) {
    one->reset_pool_marks(used, reserved);
  }
}

std::optional<RegionView> Runtime::find(DeviceAddress address) const {
  const PagedDevice* const device = owns(address) ? impl_->at(address.value) : nullptr;
  return device == nullptr ? std::nullopt : device->device->regions.find(address);
}

Status Runtime::gather(DeviceAddress inside) {
  PagedDevice* const device = owns(inside) ? impl_->at(inside.value) : nullptr;
  if (device == nullptr) return {Errc::invalid_value, "no live region is there"};
  return gather(inside, Gathering::shareable(*device->device));
}

Status Runtime::gather(DeviceAddress inside, const CUmemAllocationProp& properties) {
  PagedDevice* const device = owns(inside) ? impl_->at(inside.value) : nullptr;
  if (device == nullptr) return {Errc::invalid_value, "no live region is there"};
  try {
    return device->gathering.gather(inside, properties);
  } catch (const std::bad_alloc&) {
    return {Errc::out_of_memory, "no memory to gather a region with"};
  }
}

Result<SharedHandle> Runtime::share(DeviceAddress inside) {
  const auto before = find(inside);
  if (!before || before->kind != RegionKind::plain) {
    return Status(Errc::invalid_value, "only what cuMemAlloc gave out is shared by such handles");
  }
  try {
    if (Status status = gather(inside); !status.ok()) return status;
    const auto region = find(inside);
    if (!region) return Status(Errc::invalid_value, "the region was freed meanwhile");
    return impl_->exports.share(*region);
  } catch (const std::bad_alloc&) {
    return Status(Errc::out_of_memory, "no memory to share a region with");
  }
}

Result<DeviceAddress> Runtime::open_shared(const SharedHandle& handle) {
  PagedDevice* const device = impl_->here();
  if (device == nullptr) return Status(Errc::invalid_value, "this device's memory is not paged");
  const Driver& driver = impl_->driver;
  CUcontext context = nullptr;
  if (const CUresult result = driver.cuCtxGetCurrent(&context); result != CUDA_SUCCESS) {
    return Status::driver(result, "cuCtxGetCurrent");
  }
  if (context == nullptr || impl_->exports.made(handle)) {
    return Status::driver(CUDA_ERROR_INVALID_CONTEXT, "cuIpcOpenMemHandle");
  }
  try {
    return device->imports.open(handle, context);
  } catch (const std::bad_alloc&) {
    return Status(Errc::out_of_memory, "no memory to open a region with");
  }
}

Status Runtime::close_shared(DeviceAddress base) {
  Status status(Errc::invalid_value, "nothing is open there");
  impl_->each([&](PagedDevice& one) {
    if (one.imports.maps(base)) status = one.imports.close(base);
  });
  return status;
}

std::optional<RegionView> Runtime::find_shared(DeviceAddress address) const {
  std::optional<RegionView> found;
  impl_->each([&](const PagedDevice& one) {
    if (!found) found = one.imports.find(address);
  });
  return found;
}

bool Runtime::maps_shared(DeviceAddress address) const {
  bool maps = false;
  impl_->each([&](const PagedDevice& one) { maps = maps || one.imports.maps(address); });
  return maps;
}

Status Runtime::set_synchronous(DeviceAddress inside, bool synchronous) {
  const auto region = find(inside);
  if (!region) return {Errc::invalid_value, "no live region is there"};
  if (region->kind == RegionKind::mapped) return {Errc::unsupported, "of mapped memory"};
  if (synchronous) {
    if (Status status = gather(inside); !status.ok()) return status;
    synchronize_copies(impl_->driver, region->context);
  }
  impl_->at(inside.value)->device->regions.set_synchronous(inside, synchronous);
  return {};
}

void Runtime::native_allocated(Bytes size) {
  if (PagedDevice* const one = impl_->here(); one != nullptr) one->native_allocated(size);
}

void Runtime::native_freed(CUdevice device, Bytes size) {
  PagedDevice* const one = impl_->on(device);
  if (one != nullptr) one->device->frames->native_freed(size);
}

void Runtime::host_locked(Bytes size) {
  impl_->process.host.application_locked(size);
  impl_->publish_application_host();
}

void Runtime::host_unlocked(Bytes size) {
  impl_->process.host.application_unlocked(size);
  impl_->publish_application_host();
}

void Runtime::pool_created(CUdevice device, CUmemoryPool pool) {
  if (PagedDevice* const one = impl_->on(device); one != nullptr) {
    one->device->pool_watch.created(pool);
  }
}

void Runtime::pool_destroyed(CUmemoryPool pool) {
  impl_->each([&](PagedDevice& one) { one.device->pool_watch.destroyed(pool); });
}

void Runtime::passed_through() noexcept {
  PagedDevice* const one = impl_->here();
  if (one != nullptr) one->device->stats.add(Stat::passed_through, 1);
}

void Runtime::context_created(CUcontext context) {
  impl_->process.drain.context_created(context);
}

void Runtime::context_destroyed(CUcontext context, CUcontext heir) {
  impl_->each([&](PagedDevice& one) { one.context_destroyed(context, heir); });
  impl_->process.drain.context_destroyed(context);
}

void Runtime::stream_created(CUcontext context, CUstream stream) {
  impl_->process.drain.stream_created(context, stream);
}

void Runtime::stream_destroyed(CUstream stream) {
  impl_->process.drain.stream_destroyed(stream);
}

void Runtime::capture_began() {
  impl_->process.drain.capture_began();
}

void Runtime::capture_ended() {
  impl_->process.drain.capture_ended();
}

Status Runtime::set_peers(CUdevice device, std::span<const CUdevice> peers) {
  PagedDevice* const one = impl_->on(device);
  if (one == nullptr) return {};
  try {
    return vhbm::set_peers(*one->device, peers);
  } catch (const std::bad_alloc&) {
    return Status(Errc::out_of_memory, "no memory for the list of peers");
  }
}

void Runtime::touched(DeviceAddress address, Bytes length, Access access) noexcept {
  if (!owns(address) || length.value == 0) return;
  if (PagedDevice* const device = impl_->at(address.value); device != nullptr) {
    device->touched(address, length, access);
  }
}

void Runtime::named(std::span<const std::uint64_t> addresses) noexcept {
  PagedDevice* device = nullptr;
  Epoch now = 0;
  Bytes in_place;
  const auto count = [&] {
    if (in_place.value != 0) device->device->stats.add(Stat::named_in_place_bytes, in_place.value);
    in_place = {};
  };
  for (const std::uint64_t address : addresses) {
    if (!window_.contains(address)) continue;
    PagedDevice* const its = impl_->at(address);
    if (its == nullptr) continue;
    if (its != device) {
      count();
      device = its;
      now = device->device->now.load(std::memory_order_relaxed);
    }
    in_place += device->named(address, now);
  }
  count();
}

void Runtime::launched() noexcept {
  impl_->process.launches.add_one();
}

void Runtime::per_thread_stream_used() noexcept {
  impl_->process.drain.per_thread_stream_used();
}

void Runtime::quiet_point() noexcept {
  impl_->each([](PagedDevice& one) { one.pager.quiet_point(); });
}

void Runtime::stop() noexcept {
  if (impl_ == nullptr) return;
  impl_->exports.stop();
  impl_->each([](PagedDevice& one) { one.stop(); });
  const bool child = getpid() != impl_->owner;
  // The parent's flip may have been under way: nobody here would open the gate again.
  if (child) gate_->open();
  impl_->each([&](PagedDevice& one) {
    if (!child) return one.device->region_table.withdraw();
    one.device->stats.unshare_in_child();
    one.device->region_table.unshare_in_child();
  });
}

}  // namespace vhbm
