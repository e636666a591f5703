// The ownership of frames, address ranges and pinned memory.
#include "memory.h"

#include <algorithm>

namespace vmm_probe {

CUmemAllocationProp frame_properties(const Probe& probe, Place place) {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location.type =
      place == Place::hbm ? CU_MEM_LOCATION_TYPE_DEVICE : CU_MEM_LOCATION_TYPE_HOST_NUMA;
  properties.location.id = place == Place::hbm ? probe.device() : probe.host_node();
  return properties;
}

Frame::Frame(Probe& probe, Place place, std::size_t bytes)
    : Frame(probe, frame_properties(probe, place), bytes) {}

Frame::Frame(Probe& probe, const CUmemAllocationProp& properties, std::size_t bytes)
    : bytes_(bytes) {
  if (properties.location.type != CU_MEM_LOCATION_TYPE_DEVICE) {
    if (const std::string reason = probe.host_memory().take(bytes); !reason.empty())
      throw Failure("a host frame of " + size_name(bytes) + " was not tried: " + reason);
    counted_ = &probe.host_memory();
  }
  const CUresult result = cu.cuMemCreate(&handle_, bytes, &properties, 0);
  if (result == CUDA_SUCCESS) return;
  if (counted_) counted_->give_back(bytes);
  must(result,
       "cuMemCreate of " + size_name(bytes) + (counted_ ? " of host memory" : " of device memory"));
}

Frame::~Frame() {
  if (!handle_) return;
  cu.cuMemRelease(handle_);
  if (counted_) counted_->give_back(bytes_);
}

std::vector<Frame> make_frames(Probe& probe, Place place, std::size_t bytes_each,
                               std::size_t count) {
  std::vector<Frame> frames;
  frames.reserve(count);
  for (std::size_t i = 0; i < count; ++i) frames.emplace_back(probe, place, bytes_each);
  return frames;
}

Window::Window(Probe& probe, std::size_t bytes) : bytes_(bytes) {
  must(cu.cuMemAddressReserve(&base_, bytes, 0, 0, 0), "cuMemAddressReserve " + size_name(bytes));
  access_.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  access_.location.id = probe.device();
  access_.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
}

Window::~Window() {
  for (const auto& [offset, bytes] : mapped_) cu.cuMemUnmap(base_ + offset, bytes);
  cu.cuMemAddressFree(base_, bytes_);
}

void Window::map(std::size_t offset, const Frame& frame) {
  must(cu.cuMemMap(base_ + offset, frame.bytes(), 0, frame.handle(), 0), "cuMemMap");
  mapped_[offset] = frame.bytes();
}

void Window::allow(std::size_t offset, std::size_t bytes) {
  must(cu.cuMemSetAccess(base_ + offset, bytes, &access_, 1), "cuMemSetAccess");
}

void Window::unmap(std::size_t offset, std::size_t bytes) {
  must(cu.cuMemUnmap(base_ + offset, bytes), "cuMemUnmap");
  mapped_.erase(mapped_.lower_bound(offset), mapped_.lower_bound(offset + bytes));
}

void Window::map_all(const std::vector<Frame>& frames) {
  std::size_t offset = 0;
  for (const Frame& frame : frames) {
    map(offset, frame);
    offset += frame.bytes();
  }
  allow(0, offset);
}

Buffer::Buffer(Probe& probe, Place place, std::size_t bytes, std::size_t bytes_per_frame)
    : frames_(make_frames(probe, place, bytes_per_frame, bytes / bytes_per_frame)),
      window_(probe, bytes) {
  window_.map_all(frames_);
}

PinnedMemory::PinnedMemory(Probe& probe, std::size_t bytes)
    : counted_(&probe.host_memory()), bytes_(bytes) {
  if (const std::string reason = counted_->take(bytes); !reason.empty())
    throw Failure(size_name(bytes) + " of pinned memory were not tried: " + reason);
  const CUresult result =
      cu.cuMemHostAlloc(&host_, bytes, CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP);
  if (result == CUDA_SUCCESS) return;
  counted_->give_back(bytes);
  must(result, "cuMemHostAlloc of " + size_name(bytes));
}

PinnedMemory::~PinnedMemory() {
  cu.cuMemFreeHost(host_);
  counted_->give_back(bytes_);
}

std::size_t fitting(Probe& probe, Place place, std::size_t wanted, std::size_t unit) {
  std::size_t room = 0;
  if (place == Place::host) {
    room = std::min(probe.host_memory().left(), available_host_memory() * 8 / 10);
  } else {
    std::size_t free = 0, total = 0;
    must(cu.cuMemGetInfo_v2(&free, &total), "cuMemGetInfo");
    room = free / 2;
  }
  const std::size_t bytes = std::min(wanted, room) / unit * unit;
  if (bytes == 0)
    throw Skipped("no room for " + size_name(unit) + " of " +
                  (place == Place::host ? "host memory (--host-memory)" : "device memory"));
  return bytes;
}

}  // namespace vmm_probe
