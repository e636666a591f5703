// Device memory and page-locked host memory that are given back when their owner goes.
#pragma once

#include <string>
#include <utility>

#include "gpu.h"

namespace sample_server {

class DeviceBuffer {
 public:
  DeviceBuffer(Gpu& gpu, std::size_t bytes, const std::string& what)
      : gpu_(&gpu), address_(gpu.allocate(bytes, what)), bytes_(bytes) {}
  ~DeviceBuffer() {
    if (gpu_) gpu_->release(address_);
  }
  DeviceBuffer(DeviceBuffer&& other) noexcept
      : gpu_(std::exchange(other.gpu_, nullptr)), address_(other.address_), bytes_(other.bytes_) {}
  DeviceBuffer& operator=(DeviceBuffer&&) = delete;

  DeviceAddress address() const { return address_; }
  std::size_t bytes() const { return bytes_; }

 private:
  Gpu* gpu_;
  DeviceAddress address_;
  std::size_t bytes_;
};

template <typename T>
class PinnedArray {
 public:
  PinnedArray(Gpu& gpu, std::size_t count, const std::string& what)
      : gpu_(gpu), data_(static_cast<T*>(gpu.allocate_pinned(count * sizeof(T), what))) {}
  ~PinnedArray() { gpu_.release_pinned(data_); }
  PinnedArray(const PinnedArray&) = delete;
  PinnedArray& operator=(const PinnedArray&) = delete;

  T* data() { return data_; }
  T& operator[](std::size_t index) { return data_[index]; }
  const T& operator[](std::size_t index) const { return data_[index]; }

 private:
  Gpu& gpu_;
  T* data_;
};

}  // namespace sample_server
