// The GPU as this server sees it: the commonplace part of CUDA, once over the driver API and once
// over the runtime API. Whatever fails throws a GpuError that names the call and what it was for.
// Everything a Gpu hands out belongs to it and dies with it. Used by one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>

#include "simgpu/gpu_image.h"

namespace sample_server {

enum class GpuErrorKind { out_of_memory, other };

class GpuError : public std::runtime_error {
 public:
  GpuError(GpuErrorKind kind, const std::string& what) : std::runtime_error(what), kind_(kind) {}
  GpuErrorKind kind() const { return kind_; }

 private:
  GpuErrorKind kind_;
};

using DeviceAddress = std::uint64_t;
// Streams, events and executable graphs are the same objects in both APIs; kernels are not.
using Stream = CUstream;
using Event = CUevent;
using Graph = CUgraphExec;
using Kernel = const void*;

struct GpuMemory {
  std::size_t free = 0;   // bytes
  std::size_t total = 0;  // bytes
};

class Gpu {
 public:
  virtual ~Gpu() = default;

  virtual std::string name() = 0;
  virtual GpuMemory memory() = 0;

  // Device memory, and page-locked host memory; `what` says in messages what it is for.
  virtual DeviceAddress allocate(std::size_t bytes, const std::string& what) = 0;
  virtual void release(DeviceAddress address) = 0;
  virtual void* allocate_pinned(std::size_t bytes, const std::string& what) = 0;
  virtual void release_pinned(void* memory) = 0;

  virtual void load(std::span<const gpu_image::Image> images) = 0;
  virtual Kernel kernel(const std::string& name) = 0;

  virtual Stream create_stream() = 0;
  virtual Event create_event() = 0;
  virtual void record(Event event, Stream stream) = 0;
  virtual void wait(Stream stream, Event event) = 0;
  virtual void synchronise(Event event) = 0;
  virtual void synchronise() = 0;

  virtual void upload(DeviceAddress to, const void* from, std::size_t bytes) = 0;
  virtual void fill_zero(DeviceAddress to, std::size_t bytes, Stream stream) = 0;
  virtual void copy_in(DeviceAddress to, const void* from, std::size_t bytes, Stream stream) = 0;
  virtual void copy_out(void* to, DeviceAddress from, std::size_t bytes, Stream stream) = 0;

  virtual void launch(Kernel kernel, unsigned blocks, unsigned threads, void** parameters,
                      Stream stream) = 0;
  virtual void begin_capture(Stream stream) = 0;
  virtual Graph end_capture(Stream stream) = 0;
  virtual void launch(Graph graph, Stream stream) = 0;
};

// Makes the first device current.
std::unique_ptr<Gpu> make_driver_gpu();

// The same over the runtime API; loads libsample_server_cudart.so, which needs libcudart.
std::unique_ptr<Gpu> load_runtime_gpu();

}  // namespace sample_server
