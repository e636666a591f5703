// See gathering.h for the phases.
#include "runtime/gathering.h"

#include <algorithm>
#include <thread>

#include "runtime/context_scope.h"
#include "runtime/log.h"
#include "runtime/quiesce.h"

namespace vhbm {
namespace {

// How long the pager may take to make room, and the GPU to get quiet once.
constexpr std::chrono::seconds room_patience{5}, quiet_patience{5};
// A single closure of the gate: at first and at most.
constexpr std::chrono::milliseconds first_patience{20}, most_patience{500};
constexpr std::chrono::milliseconds between_attempts{1};

// A copy that takes this long is not slow but stuck: a tenth of what the slowest link needs.
std::chrono::seconds copy_patience(Bytes size) {
  return std::chrono::seconds(2 + size.value / gib(1).value);
}

struct Waiting {
  explicit Waiting(std::atomic<int>& count) : count_(count) { ++count_; }
  ~Waiting() { --count_; }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  std::atomic<int>& count_;
};

}  // namespace

CUmemAllocationProp Gathering::shareable(const Device& device) {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, device.ordinal};
  properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  int rdma = 0;
  if (device.driver.cuDeviceGetAttribute(
          &rdma, CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED, device.ordinal) ==
      CUDA_SUCCESS) {
    properties.allocFlags.gpuDirectRDMACapable = rdma != 0 ? 1 : 0;
  }
  return properties;
}

Status Gathering::check(const CUmemAllocationProp& properties) const {
  if ((properties.requestedHandleTypes & CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) == 0) return {};
  if (device_.exports_files) return {};
  return {Errc::unsupported, "this device gives no file descriptors of its memory"};
}

Status Gathering::hopeless() const {
  if (device_.broken()) return {Errc::frozen, "mappings stay as they are"};
  if (device_.drain.capturing()) return {Errc::abandoned, "a stream is being captured"};
  return {};
}

Status Gathering::gather(DeviceAddress inside, const CUmemAllocationProp& properties) {
  if (Status status = check(properties); !status.ok()) return status;
  const RelaxedCapture relaxed(device_.driver);
  { const auto wakes = gate_.pass(); }
  RegionId id;
  Bytes size;
  {
    std::lock_guard lock(device_.lock);
    const Region* region = device_.regions.region_at(inside);
    if (region == nullptr) return {Errc::invalid_value, "no live region is there"};
    if (region->whole != 0) return {};
    if (Status status = hopeless(); !status.ok()) return status;
    id = region->view.id;
    size = region->mapped_size();
  }
  auto whole = create(size, properties);
  if (!whole.ok()) return whole.status();
  const Waiting waiting(device_.gatherings);
  const auto deadline = Clock::now() + quiet_patience;
  std::chrono::nanoseconds patience = first_patience;
  Status status;
  for (;; std::this_thread::sleep_for(between_attempts)) {
    std::lock_guard lock(device_.lock);
    Region* region = device_.regions.region_at(inside);
    if (region == nullptr || region->view.id != id) {
      status = Status(Errc::invalid_value, "the region was freed meanwhile");
    } else if (region->whole != 0) {
      status = Status();
    } else if (status = hopeless(); status.ok()) {
      status = attempt(*region, *whole, patience);
      if (status.code() == Errc::abandoned && Clock::now() < deadline) {
        patience = std::min<std::chrono::nanoseconds>(patience * 2, most_patience);
        continue;
      }
    }
    if (whole->size.value != 0) {
      device_.leftovers.put_away(*whole, *device_.mapper, *device_.frames, device_.space);
    }
    return status;
  }
}

Result<CUmemGenericAllocationHandle> Gathering::gather(std::span<Frame* const> frames,
                                                       const CUmemAllocationProp& properties) {
  if (Status status = check(properties); !status.ok()) return status;
  const RelaxedCapture relaxed(device_.driver);
  auto whole = create(device_.frames->frame_size() * frames.size(), properties);
  if (!whole.ok()) return whole.status();
  std::lock_guard lock(device_.lock);
  Status status = hopeless();
  if (status.ok()) status = reach(frames);
  if (status.ok()) status = copy(*whole, frames);
  const CUmemGenericAllocationHandle handle = whole->handle;
  if (status.ok()) whole->handle = 0;
  if (whole->size.value != 0) {
    device_.leftovers.put_away(*whole, *device_.mapper, *device_.frames, device_.space);
  }
  if (!status.ok()) return status;
  return handle;
}

void Gathering::release(CUmemGenericAllocationHandle handle, Bytes size) {
  std::lock_guard lock(device_.lock);
  device_.leftovers.put_away({{}, size, handle}, *device_.mapper, *device_.frames, device_.space);
}

Result<int> Gathering::file_of(RegionId id, DeviceAddress base) const {
  const RelaxedCapture relaxed(device_.driver);
  std::lock_guard lock(device_.lock);
  const Region* region = device_.regions.region_at(base);
  if (region == nullptr || region->view.id != id || region->whole == 0) {
    return Status(Errc::invalid_value, "the region was freed");
  }
  ContextScope scope(device_.driver, region->view.context);
  int file = -1;
  const CUresult result = device_.driver.cuMemExportToShareableHandle(
      &file, region->whole, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0);
  if (result != CUDA_SUCCESS) return Status::driver(result, "cuMemExportToShareableHandle");
  return file;
}

Result<Leftover> Gathering::create(Bytes size, const CUmemAllocationProp& properties) {
  Leftover made{{}, size, 0};
  device_.frames->native_allocated(size);
  if (!device_.make_room(room_patience)) {
    device_.frames->native_refused(size);
    return Status::driver(CUDA_ERROR_OUT_OF_MEMORY, "cuMemCreate");
  }
  device_.frames->native_granted(size);
  const CUresult result = device_.driver.cuMemCreate(&made.handle, size.value, &properties, 0);
  if (result != CUDA_SUCCESS) {
    device_.frames->native_freed(size);
    return Status::driver(result, "cuMemCreate");
  }
  std::lock_guard lock(device_.lock);
  const auto address = device_.space.carve(size, device_.frames->frame_size());
  Status status(Errc::out_of_memory, "the window has no free range of that size");
  if (address) {
    status = device_.mapper->map(*address, {&made.handle, 1}, size);
    if (status.ok()) {
      made.address = *address;
      return made;
    }
    device_.space.give_back(*address, size);
  }
  device_.leftovers.put_away(made, *device_.mapper, *device_.frames, device_.space);
  return status;
}

Status Gathering::attempt(Region& region, Leftover& whole, std::chrono::nanoseconds patience) {
  // What is copied ahead still reads the old mapping, or waits for a look that says where the right
  // bytes are.
  if (device_.precopy.in_flight() || !device_.repairs.empty()) {
    return {Errc::abandoned, "chunks are on the move"};
  }
  if (Status status = reach(region.frames); !status.ok()) return status;
  Quiesce quiesce(gate_, device_.drain, device_.stats, device_.stalls, patience);
  switch (quiesce.outcome()) {
    case Quiesce::Outcome::quiet:
      break;
    case Quiesce::Outcome::failed:
      device_.gpu_failed("the GPU reports errors");
      [[fallthrough]];
    default:
      return {Errc::abandoned, "the GPU does not get quiet"};
  }
  if (Status status = copy(whole, region.frames); !status.ok()) return status;
  if (Status status = put_behind(region, whole); !status.ok()) return status;
  region.whole = whole.handle;
  whole.handle = 0;
  quiesce.reopen();
  settle(region);
  device_.gpu_answered();
  return {};
}

Status Gathering::reach(std::span<Frame* const> frames) {
  for (Frame* frame : frames) {
    if (Status status = device_.frames->ensure_alias(frame); !status.ok()) return status;
  }
  return {};
}

Status Gathering::copy(Leftover& whole, std::span<Frame* const> from) {
  const Status failed(Errc::driver_error, "nothing can be copied");
  if (!device_.prepare_copies()) return failed;
  ContextScope scope(device_.driver, device_.copier.context());
  // What an earlier flip left behind still reads or writes frames.
  if (scope.result() != CUDA_SUCCESS || device_.copier.poll() != CUDA_SUCCESS) {
    return {Errc::abandoned, "earlier copies are still under way"};
  }
  const Bytes each = device_.frames->frame_size();
  CUresult queued = CUDA_SUCCESS;
  for (std::size_t i = 0; i < from.size() && queued == CUDA_SUCCESS; ++i) {
    queued = device_.copier.copy(whole.address + each * i, from[i]->alias, each);
  }
  const CUresult landed = device_.copier.wait(copy_patience(whole.size));
  if (landed != CUDA_SUCCESS) {
    // It may still be landing.
    device_.leftovers.keep(whole);
    whole = {};
  }
  if (queued == CUDA_SUCCESS && landed == CUDA_SUCCESS) return {};
  device_.gpu_failed("copies within HBM fail");
  return Status::driver(queued != CUDA_SUCCESS ? queued : landed, "cuMemcpyAsync");
}

Status Gathering::put_behind(Region& region, const Leftover& whole) {
  std::vector<CUmemGenericAllocationHandle> old;
  for (const Frame* frame : region.frames) old.push_back(frame->handle);
  switch (device_.mapper->replace(region.view.base, {old, region.chunk_size},
                                  {{&whole.handle, 1}, whole.size}, region.access)) {
    case Mapper::Switched::yes:
      return {};
    case Mapper::Switched::restored:
      return {Errc::out_of_memory, "the driver did not map the allocation"};
    case Mapper::Switched::broken:
      device_.freeze("a range could be mapped neither to its new nor to its old frames");
      break;
  }
  return {Errc::frozen, "the region is lost"};
}

void Gathering::settle(Region& region) {
  const Bytes host_mapped = device_.regions.host_mapped(region.index);
  device_.account(region, {});
  device_.stats.add(Stat::promoted_bytes, host_mapped.value);
  device_.stats.add(Stat::gathered_bytes, region.mapped_size().value);
  region.held = true;
  for (std::size_t i = 0; i < region.frames.size(); ++i) {
    const DeviceAddress chunk = region.address_of(i);
    if (device_.pages.state(device_.page_of(chunk)) == PageState::host_mapped) {
      (void)(device_.move(chunk, PageState::host_mapped, PageState::arriving) &&
             device_.move(chunk, PageState::arriving, PageState::resident));
    }
    (void)device_.move(chunk, PageState::resident, PageState::held);
    if (const CleanCopy copy = device_.take_copy(region, i); copy.frame != nullptr) {
      device_.frames->give_back(copy.frame);
    }
    device_.frames->give_back(region.frames[i]);
    region.frames[i] = nullptr;
  }
}

}  // namespace vhbm
