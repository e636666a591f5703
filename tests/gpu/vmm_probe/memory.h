// Frames, reserved address ranges and the mappings between them, as the probe needs them.
// Invariant: what these own is unmapped, released and freed in that order; a failure in a
// destructor is ignored, since the process ends with the sub-test.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "probe.h"

namespace vmm_probe {

enum class Place { hbm, host };
inline const char* name_of(Place place) {
  return place == Place::hbm ? "hbm" : "host_frame";
}

CUmemAllocationProp frame_properties(const Probe& probe, Place place);

// One physical allocation.
class Frame {
 public:
  // Throws Failure with the driver's answer; host frames also where the limit does not allow them.
  Frame(Probe& probe, Place place, std::size_t bytes);
  Frame(Probe& probe, const CUmemAllocationProp& properties, std::size_t bytes);
  Frame(Frame&& other) noexcept { swap(other); }
  Frame& operator=(Frame&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Frame();

  CUmemGenericAllocationHandle handle() const { return handle_; }
  std::size_t bytes() const { return bytes_; }

 private:
  void swap(Frame& other) {
    std::swap(handle_, other.handle_);
    std::swap(bytes_, other.bytes_);
    std::swap(counted_, other.counted_);
  }

  CUmemGenericAllocationHandle handle_ = 0;
  std::size_t bytes_ = 0;
  HostMemory* counted_ = nullptr;
};

std::vector<Frame> make_frames(Probe& probe, Place place, std::size_t bytes_each,
                               std::size_t count);

// A reserved address range, and what is mapped in it.
class Window {
 public:
  Window(Probe& probe, std::size_t bytes);
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;
  ~Window();

  CUdeviceptr base() const { return base_; }
  std::size_t bytes() const { return bytes_; }

  void map(std::size_t offset, const Frame& frame);
  void allow(std::size_t offset, std::size_t bytes);  // the device may read and write
  void unmap(std::size_t offset, std::size_t bytes);  // whole mappings
  void map_all(const std::vector<Frame>& frames);     // from offset 0 on, and allows them

 private:
  CUmemAccessDesc access_{};
  CUdeviceptr base_ = 0;
  std::size_t bytes_;
  std::map<std::size_t, std::size_t> mapped_;  // offset -> bytes
};

// `bytes` of ready memory at one address, made of frames of one place.
class Buffer {
 public:
  Buffer(Probe& probe, Place place, std::size_t bytes, std::size_t bytes_per_frame);
  CUdeviceptr address() const { return window_.base(); }
  std::size_t bytes() const { return window_.bytes(); }

 private:
  std::vector<Frame> frames_;
  Window window_;
};

// Page-locked memory by cuMemHostAlloc: what a program without VMM would use.
class PinnedMemory {
 public:
  PinnedMemory(Probe& probe, std::size_t bytes);
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;
  ~PinnedMemory();

  void* host() const { return host_; }
  CUdeviceptr address() const { return reinterpret_cast<CUdeviceptr>(host_); }
  std::size_t bytes() const { return bytes_; }

 private:
  HostMemory* counted_;
  void* host_ = nullptr;
  std::size_t bytes_;
};

// A size for test data: what is wanted, less where the host memory limit or the device's free
// memory demands it, in whole `unit`s. Skipped where not even one unit fits.
std::size_t fitting(Probe& probe, Place place, std::size_t wanted, std::size_t unit);

}  // namespace vmm_probe
