// The Gpu over the driver API.
#include <vector>

#include "gpu.h"

namespace sample_server {
namespace {

void check(CUresult result, const std::string& call) {
  if (result == CUDA_SUCCESS) return;
  const char* name = nullptr;
  const char* text = nullptr;
  if (cuGetErrorName(result, &name) != CUDA_SUCCESS) name = "unknown error";
  if (cuGetErrorString(result, &text) != CUDA_SUCCESS) text = "no description";
  throw GpuError(
      result == CUDA_ERROR_OUT_OF_MEMORY ? GpuErrorKind::out_of_memory : GpuErrorKind::other,
      call + " failed: " + name + " (" + text + ")");
}

class DriverGpu final : public Gpu {
 public:
  DriverGpu() {
    check(cuInit(0), "cuInit");
    check(cuDeviceGet(&device_, 0), "cuDeviceGet of the first GPU");
    check(cuDevicePrimaryCtxRetain(&context_, device_), "cuDevicePrimaryCtxRetain");
    check(cuCtxSetCurrent(context_), "cuCtxSetCurrent");
  }

  // After a failure there is nobody left to tell, so results are not looked at.
  ~DriverGpu() override {
    for (Graph graph : graphs_) cuGraphExecDestroy(graph);
    for (Event event : events_) cuEventDestroy(event);
    for (Stream stream : streams_) cuStreamDestroy(stream);
    if (module_) cuModuleUnload(module_);
    cuDevicePrimaryCtxRelease(device_);
  }

  std::string name() override {
    char text[256] = "";
    check(cuDeviceGetName(text, sizeof(text), device_), "cuDeviceGetName");
    return text;
  }

  GpuMemory memory() override {
    GpuMemory memory;
    check(cuMemGetInfo(&memory.free, &memory.total), "cuMemGetInfo");
    return memory;
  }

  DeviceAddress allocate(std::size_t bytes, const std::string& what) override {
    CUdeviceptr address = 0;
    check(cuMemAlloc(&address, bytes),
          "cuMemAlloc of " + std::to_string(bytes) + " bytes for " + what);
    return address;
  }
  void release(DeviceAddress address) override { cuMemFree(address); }

  void* allocate_pinned(std::size_t bytes, const std::string& what) override {
    void* memory = nullptr;
    check(cuMemHostAlloc(&memory, bytes, 0),
          "cuMemHostAlloc of " + std::to_string(bytes) + " bytes for " + what);
    return memory;
  }
  void release_pinned(void* memory) override { cuMemFreeHost(memory); }

  void load(std::span<const gpu_image::Image> images) override {
    check(gpu_image::load(images, &module_), "cuModuleLoadData of the kernels");
  }
  Kernel kernel(const std::string& name) override {
    CUfunction function = nullptr;
    check(cuModuleGetFunction(&function, module_, name.c_str()), "cuModuleGetFunction of " + name);
    return function;
  }

  Stream create_stream() override {
    Stream stream = nullptr;
    check(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    return streams_.emplace_back(stream);
  }
  Event create_event() override {
    Event event = nullptr;
    check(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), "cuEventCreate");
    return events_.emplace_back(event);
  }
  void record(Event event, Stream stream) override {
    check(cuEventRecord(event, stream), "cuEventRecord");
  }
  void wait(Stream stream, Event event) override {
    check(cuStreamWaitEvent(stream, event, 0), "cuStreamWaitEvent");
  }
  void synchronise(Event event) override {
    check(cuEventSynchronize(event), "cuEventSynchronize after a step");
  }
  void synchronise() override { check(cuCtxSynchronize(), "cuCtxSynchronize"); }

  void upload(DeviceAddress to, const void* from, std::size_t bytes) override {
    check(cuMemcpyHtoD(to, from, bytes), "cuMemcpyHtoD of weights");
  }
  void fill_zero(DeviceAddress to, std::size_t bytes, Stream stream) override {
    check(cuMemsetD8Async(to, 0, bytes, stream), "cuMemsetD8Async");
  }
  void copy_in(DeviceAddress to, const void* from, std::size_t bytes, Stream stream) override {
    check(cuMemcpyHtoDAsync(to, from, bytes, stream), "cuMemcpyHtoDAsync of a step's inputs");
  }
  void copy_out(void* to, DeviceAddress from, std::size_t bytes, Stream stream) override {
    check(cuMemcpyDtoHAsync(to, from, bytes, stream), "cuMemcpyDtoHAsync of a step's outputs");
  }

  void launch(Kernel kernel, unsigned blocks, unsigned threads, void** parameters,
              Stream stream) override {
    const auto function = static_cast<CUfunction>(const_cast<void*>(kernel));
    check(cuLaunchKernel(function, blocks, 1, 1, threads, 1, 1, 0, stream, parameters, nullptr),
          "cuLaunchKernel");
  }
  void begin_capture(Stream stream) override {
    check(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL), "cuStreamBeginCapture");
  }
  Graph end_capture(Stream stream) override {
    CUgraph graph = nullptr;
    check(cuStreamEndCapture(stream, &graph), "cuStreamEndCapture");
    Graph executable = nullptr;
    const CUresult result = cuGraphInstantiate(&executable, graph, 0);
    cuGraphDestroy(graph);
    check(result, "cuGraphInstantiate");
    return graphs_.emplace_back(executable);
  }
  void launch(Graph graph, Stream stream) override {
    check(cuGraphLaunch(graph, stream), "cuGraphLaunch");
  }

 private:
  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
  CUmodule module_ = nullptr;
  std::vector<Stream> streams_;
  std::vector<Event> events_;
  std::vector<Graph> graphs_;
};

}  // namespace

std::unique_ptr<Gpu> make_driver_gpu() {
  return std::make_unique<DriverGpu>();
}

}  // namespace sample_server
