// The Gpu over the runtime API, a library of its own so that the server needs libcudart only when
// it is asked for.
#include <cuda_runtime_api.h>

#include <vector>

#include "gpu.h"

namespace sample_server {
namespace {

void check(cudaError_t result, const std::string& call) {
  if (result == cudaSuccess) return;
  throw GpuError(
      result == cudaErrorMemoryAllocation ? GpuErrorKind::out_of_memory : GpuErrorKind::other,
      call + " failed: " + cudaGetErrorName(result) + " (" + cudaGetErrorString(result) + ")");
}

void* pointer(DeviceAddress address) {
  return reinterpret_cast<void*>(address);
}

class RuntimeGpu final : public Gpu {
 public:
  RuntimeGpu() { check(cudaSetDevice(0), "cudaSetDevice of the first GPU"); }

  // After a failure there is nobody left to tell, so results are not looked at.
  ~RuntimeGpu() override {
    for (Graph graph : graphs_) (void)cudaGraphExecDestroy(graph);
    for (Event event : events_) (void)cudaEventDestroy(event);
    for (Stream stream : streams_) (void)cudaStreamDestroy(stream);
    if (library_) (void)cudaLibraryUnload(library_);
  }

  std::string name() override {
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
    return properties.name;
  }

  GpuMemory memory() override {
    GpuMemory memory;
    check(cudaMemGetInfo(&memory.free, &memory.total), "cudaMemGetInfo");
    return memory;
  }

  DeviceAddress allocate(std::size_t bytes, const std::string& what) override {
    void* address = nullptr;
    check(cudaMalloc(&address, bytes),
          "cudaMalloc of " + std::to_string(bytes) + " bytes for " + what);
    return reinterpret_cast<DeviceAddress>(address);
  }
  void release(DeviceAddress address) override { (void)cudaFree(pointer(address)); }

  void* allocate_pinned(std::size_t bytes, const std::string& what) override {
    void* memory = nullptr;
    check(cudaHostAlloc(&memory, bytes, cudaHostAllocDefault),
          "cudaHostAlloc of " + std::to_string(bytes) + " bytes for " + what);
    return memory;
  }
  void release_pinned(void* memory) override { (void)cudaFreeHost(memory); }

  void load(std::span<const gpu_image::Image> images) override {
    cudaError_t result = cudaErrorNoKernelImageForDevice;
    for (const gpu_image::Image& image : images) {
      result = cudaLibraryLoadData(&library_, image.data, nullptr, nullptr, 0, nullptr, nullptr, 0);
      if (result != cudaErrorInvalidKernelImage && result != cudaErrorNoKernelImageForDevice) break;
    }
    check(result, "cudaLibraryLoadData of the kernels");
  }
  Kernel kernel(const std::string& name) override {
    cudaKernel_t kernel = nullptr;
    check(cudaLibraryGetKernel(&kernel, library_, name.c_str()), "cudaLibraryGetKernel of " + name);
    return kernel;
  }

  Stream create_stream() override {
    cudaStream_t stream = nullptr;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    return streams_.emplace_back(stream);
  }
  Event create_event() override {
    cudaEvent_t event = nullptr;
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
    return events_.emplace_back(event);
  }
  void record(Event event, Stream stream) override {
    check(cudaEventRecord(event, stream), "cudaEventRecord");
  }
  void wait(Stream stream, Event event) override {
    check(cudaStreamWaitEvent(stream, event, 0), "cudaStreamWaitEvent");
  }
  void synchronise(Event event) override {
    check(cudaEventSynchronize(event), "cudaEventSynchronize after a step");
  }
  void synchronise() override { check(cudaDeviceSynchronize(), "cudaDeviceSynchronize"); }

  void upload(DeviceAddress to, const void* from, std::size_t bytes) override {
    check(cudaMemcpy(pointer(to), from, bytes, cudaMemcpyHostToDevice), "cudaMemcpy of weights");
  }
  void fill_zero(DeviceAddress to, std::size_t bytes, Stream stream) override {
    check(cudaMemsetAsync(pointer(to), 0, bytes, stream), "cudaMemsetAsync");
  }
  void copy_in(DeviceAddress to, const void* from, std::size_t bytes, Stream stream) override {
    check(cudaMemcpyAsync(pointer(to), from, bytes, cudaMemcpyHostToDevice, stream),
          "cudaMemcpyAsync of a step's inputs");
  }
  void copy_out(void* to, DeviceAddress from, std::size_t bytes, Stream stream) override {
    check(cudaMemcpyAsync(to, pointer(from), bytes, cudaMemcpyDeviceToHost, stream),
          "cudaMemcpyAsync of a step's outputs");
  }

  void launch(Kernel kernel, unsigned blocks, unsigned threads, void** parameters,
              Stream stream) override {
    check(cudaLaunchKernel(kernel, dim3(blocks), dim3(threads), parameters, 0, stream),
          "cudaLaunchKernel");
  }
  void begin_capture(Stream stream) override {
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), "cudaStreamBeginCapture");
  }
  Graph end_capture(Stream stream) override {
    cudaGraph_t graph = nullptr;
    check(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
    Graph executable = nullptr;
    const cudaError_t result = cudaGraphInstantiate(&executable, graph, 0);
    (void)cudaGraphDestroy(graph);
    check(result, "cudaGraphInstantiate");
    return graphs_.emplace_back(executable);
  }
  void launch(Graph graph, Stream stream) override {
    check(cudaGraphLaunch(graph, stream), "cudaGraphLaunch");
  }

 private:
  cudaLibrary_t library_ = nullptr;
  std::vector<Stream> streams_;
  std::vector<Event> events_;
  std::vector<Graph> graphs_;
};

}  // namespace
}  // namespace sample_server

extern "C" __attribute__((visibility("default"))) sample_server::Gpu* sample_server_runtime_gpu() {
  return new sample_server::RuntimeGpu();
}
