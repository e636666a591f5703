// The pager of one process, as the hooks see it: backs allocations on each device that it pages,
// keeps each at one address for life, and moves the pages behind them between HBM and host frames.
// Invariant: between calls, every byte of every live region is mapped and holds the application's
// bytes. Locking: all functions may be called from any thread; those marked hot take no lock and
// allocate nothing.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "runtime/driver.h"
#include "runtime/gate.h"
#include "runtime/kernel_times.h"
#include "runtime/memory_report.h"
#include "runtime/options.h"
#include "runtime/region_view.h"
#include "runtime/regions.h"
#include "runtime/residency.h"
#include "runtime/sleep.h"
#include "runtime/spill/block_store.h"
#include "runtime/status.h"
#include "runtime/stream_order.h"
#include "runtime/units.h"
#include "runtime/window.h"

namespace vhbm {

class Devices;
class KvLayouts;
struct KvLaunch;
struct KvLaunchShape;
struct KvMatch;
class VirtualMemory;
struct SharedHandle;

class Runtime {
 public:
  // As add_device(), for the first one. Requires `driver` outliving the runtime. `below` takes what
  // has slept for spill_after; without it sleepers stay in host memory. `kernel_times` is for
  // recordings that are to have kernels.
  //   Errc::unsupported  no VMM or no host frames there: pass every call through
  [[nodiscard]] static Result<std::unique_ptr<Runtime>> start(
      const Driver& driver, const Options& options, Decisions decisions = {},
      std::unique_ptr<BlockStore> below = {}, std::unique_ptr<KernelTimes> kernel_times = {});
  // Live regions stay mapped; all else is given back to the driver.
  ~Runtime();

  // Reserves addresses on the current context's device, probes host frames by making one, and
  // starts the pager's thread there, which moves what the decisions choose. Harmless when that has
  // happened. Each device has limits of its own for HBM; host_limit is for all together.
  //   Errc::unsupported  as above
  [[nodiscard]] Status add_device();
  [[nodiscard]] bool pages(CUdevice device) const noexcept;

  // A region of at least `size` bytes on the current context's device, every byte backed: by free
  // HBM frames, else by host frames.
  //   Errc::out_of_memory  both limits are reached; the application gets CUDA_ERROR_OUT_OF_MEMORY
  //   Errc::too_small      below the paging threshold: allocate it natively
  [[nodiscard]] Result<DeviceAddress> allocate(Bytes size);

  // Waits for the work in flight as cuMemFree does, then gives the region's frames back.
  //   Errc::invalid_value  not the base of a live region
  [[nodiscard]] Status free(DeviceAddress base);

  // The same on a device that is paged, in the order of a stream: later work of the stream may use
  // it, and what it freed may be had again. `pool` is what the application takes it to be from. It
  // belongs to no context.
  [[nodiscard]] Result<DeviceAddress> allocate_in_order(CUdevice device, Bytes size,
                                                        const StreamOrder& order,
                                                        CUmemoryPool pool);
  // Frees a region, however it was allocated, where the stream gets to; waits for nothing. For a
  // second its memory may be had again as it is; an allocation that finds no other takes it at
  // once.
  //   Errc::invalid_value  not the base of a live region
  //   Errc::driver_error   the stream takes no event; the region stays as it is
  [[nodiscard]] Status free_in_order(DeviceAddress base, const StreamOrder& order);
  // Gives up a device's freed regions until at most `keep` bytes of them, and of stream-ordered
  // ones that live, are mapped.
  void trim_idle(CUdevice device, Bytes keep);

  // Of a device's stream-ordered regions. The high marks begin again from now on, each where it is
  // asked for.
  [[nodiscard]] PoolUse pool_use(CUdevice device) const;
  void reset_pool_marks(CUdevice device, bool used, bool reserved);

  // The application's own reservations, allocations and mappings, device by device: those of a
  // device; those that a call about a range concerns, nullptr where it concerns none.
  [[nodiscard]] VirtualMemory* virtual_memory_on(CUdevice device) const noexcept;
  [[nodiscard]] VirtualMemory* virtual_memory_at(AddressRange range) const noexcept;
  // What the application reserved around an address in the window.
  [[nodiscard]] std::optional<AddressRange> reservation(DeviceAddress inside) const;

  // What the application is told of a device that is paged: see memory_told().
  [[nodiscard]] MemoryInfo memory_info(CUdevice device) const;
  // The current context's; -1 without one.
  [[nodiscard]] CUdevice current_device() const noexcept;

  // The live region that contains `address`.
  [[nodiscard]] std::optional<RegionView> find(DeviceAddress address) const;

  // Puts one native allocation, which can be shared, behind all of the region that contains
  // `inside`; it stays in HBM for good. Waits for the GPU to get quiet, a few seconds at most.
  // Requires that this thread holds no pass of the gate. Failures as Gathering::gather's.
  [[nodiscard]] Status gather(DeviceAddress inside);
  [[nodiscard]] Status gather(DeviceAddress inside, const CUmemAllocationProp& properties);

  // What another process opens the region by that contains `inside`; gathers it.
  //   Errc::system_error  no socket or thread can be had; else as gather()
  [[nodiscard]] Result<SharedHandle> share(DeviceAddress inside);
  // Maps a region of another process into the current context, as Imports::open says;
  // CUDA_ERROR_INVALID_CONTEXT for one of this process. Waits for that process, a few seconds at
  // most.
  [[nodiscard]] Result<DeviceAddress> open_shared(const SharedHandle& handle);
  [[nodiscard]] Status close_shared(DeviceAddress base);
  [[nodiscard]] std::optional<RegionView> find_shared(DeviceAddress address) const;
  // Whether memory that was opened lies there, be it beyond the region's last byte.
  [[nodiscard]] bool maps_shared(DeviceAddress address) const;

  // As CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, which programs set on what they then register with another
  // device: gathers, and asks the context to synchronize its copies where the driver can.
  [[nodiscard]] Status set_synchronous(DeviceAddress inside, bool synchronous);

  // Device memory that the driver gives out on the current device beside the runtime, or gets back
  // on a device, counts against hbm_limit.
  void native_allocated(Bytes size);
  void native_freed(CUdevice device, Bytes size);

  // Page-locked host memory that the application has from the driver, or had it make of its own:
  // what frames may hold of host_limit shrinks by it, though never below what they hold.
  void host_locked(Bytes size);
  void host_unlocked(Bytes size);
  // A pool of the driver's on a device; `destroyed` before it is.
  void pool_created(CUdevice device, CUmemoryPool pool);
  void pool_destroyed(CUmemoryPool pool);

  // The driver gave out memory of the current device whose size it alone knows, and which only it
  // frees.
  void passed_through() noexcept;

  // What a drain has to wait for, and what forbids one. A context or stream is announced after the
  // driver made it and withdrawn before the driver destroys it; a capture is announced before the
  // driver begins it, inside the gate, and withdrawn after the driver ended it.
  void context_created(CUcontext context);
  // The context's regions go to `heir`; without one they are freed.
  void context_destroyed(CUcontext context, CUcontext heir = nullptr);
  void stream_created(CUcontext context, CUstream stream);
  void stream_destroyed(CUstream stream);
  void capture_began();
  void capture_ended();

  // Kernels of exactly these other devices reach a paged device's memory from now on, as the driver
  // was told to let them.
  //   Errc::driver_error, Errc::out_of_memory  a region could not be opened; all is as before
  [[nodiscard]] Status set_peers(CUdevice device, std::span<const CUdevice> peers);

  // Hot.
  [[nodiscard]] const Window& window() const noexcept { return window_; }
  [[nodiscard]] bool owns(DeviceAddress address) const noexcept {
    return window_.contains(address.value);
  }
  // Whether any of [address, address + size) lies in the window.
  [[nodiscard]] bool overlaps(DeviceAddress address, Bytes size) const noexcept {
    return owns(address) ||
           (address.value < window_.begin() && size.value > window_.begin() - address.value);
  }
  // Hot. Every submission of GPU work happens inside: `auto pass = runtime.gate().pass();`
  [[nodiscard]] Gate& gate() noexcept { return *gate_; }
  // Hot. A copy or memset touches exactly this range.
  void touched(DeviceAddress address, Bytes length, Access access = Access::read) noexcept;
  // Hot. A kernel's arguments name these addresses: their regions may be touched anywhere.
  void named(std::span<const std::uint64_t> addresses) noexcept;
  void named(DeviceAddress address) noexcept { named(std::span(&address.value, 1)); }

  // What is known of how kernels find their KV; nullptr where nothing is to be looked at.
  [[nodiscard]] KvLayouts* kv_layouts() const noexcept;
  // Hot. Of a kernel that a layout describes: whether a launch that is not captured wants a look.
  [[nodiscard]] bool wants_look(const KvMatch& match, const KvLaunchShape& shape) const noexcept;
  // Inside the gate, before the launch itself.
  void launches(KvMatch& match, const KvLaunch& launch) noexcept;
  // Memory at this address that is no region is about to be freed.
  void native_goes(DeviceAddress base) noexcept;

  // Hot. One kernel or graph was submitted.
  void launched() noexcept { gate_->count_launch(); }
  // Hot. Work went to the calling thread's default stream (a null stream in a _ptsz or _ptds
  // function, or CU_STREAM_PER_THREAD): only a driver with cuCtxRecordEvent can see that stream
  // from outside.
  void per_thread_stream_used() noexcept;

  // The calling thread waits for work of the application's own. Once it has, a flip finds the GPU
  // quiet, if ever: a quiet point.
  void wait_begins() noexcept;
  void wait_ends() noexcept;
  void quiet_point() noexcept;

  // Puts the process to sleep, wakes it, or takes some of its HBM away.
  [[nodiscard]] Sleep& sleep() noexcept;

  // Stops the pager's thread; mappings stay as they are. Called in a forked child and at exit.
  void stop() noexcept;

 private:
  Runtime();

  Window window_;
  Gate* gate_ = nullptr;  // the implementation's
  std::unique_ptr<Devices> devices_;
};

}  // namespace vhbm
