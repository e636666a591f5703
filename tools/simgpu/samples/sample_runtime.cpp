// vector_add and reduce_sum through the runtime API: sample_runtime [--graph]. Exit code 0 when
// every result is right.
#include <cuda_runtime_api.h>

#include <cstdio>

#include "sample.h"
#include "vector_math.h"

namespace {

void check(cudaError_t error, const char* call) {
  if (error == cudaSuccess) return;
  sample::fail(std::string(call) + ": " + cudaGetErrorName(error) + " (" +
               cudaGetErrorString(error) + ")");
}
#define CHECK(call) check(call, #call)

template <typename T>
T* host_array(std::size_t count) {
  void* memory = nullptr;
  CHECK(cudaMallocHost(&memory, count * sizeof(T)));
  return static_cast<T*>(memory);
}
template <typename T>
T* device_array(std::size_t count) {
  void* memory = nullptr;
  CHECK(cudaMalloc(&memory, count * sizeof(T)));
  return static_cast<T*>(memory);
}

class Job {
 public:
  Job() {
    load();
    CHECK(cudaLibraryGetKernel(&add_, library_, "vector_add"));
    CHECK(cudaLibraryGetKernel(&reduce_, library_, "reduce_sum"));
    CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    a_ = device_array<float>(sample::count);
    b_ = device_array<float>(sample::count);
    out_ = device_array<float>(sample::count);
    values_ = device_array<std::uint32_t>(sample::count);
    sum_ = device_array<unsigned long long>(1);
    host = {host_array<float>(sample::count), host_array<float>(sample::count),
            host_array<float>(sample::count), host_array<std::uint32_t>(sample::count),
            host_array<unsigned long long>(1)};
  }

  // One round: inputs to the GPU, both kernels, results back.
  void submit() {
    int n = sample::count;
    void* add_parameters[] = {&out_, &a_, &b_, &n};
    void* reduce_parameters[] = {&sum_, &values_, &n};
    CHECK(cudaMemcpyAsync(a_, host.a, kBytes, cudaMemcpyHostToDevice, stream_));
    CHECK(cudaMemcpyAsync(b_, host.b, kBytes, cudaMemcpyDefault, stream_));
    CHECK(cudaMemcpyAsync(values_, host.values, kBytes, cudaMemcpyHostToDevice, stream_));
    CHECK(cudaMemsetAsync(sum_, 0, sizeof *sum_, stream_));
    launch(add_, add_parameters);
    launch(reduce_, reduce_parameters);
    CHECK(cudaMemcpyAsync(host.out, out_, kBytes, cudaMemcpyDeviceToHost, stream_));
    CHECK(cudaMemcpyAsync(host.sum, sum_, sizeof *sum_, cudaMemcpyDeviceToHost, stream_));
  }

  void capture() {
    cudaGraph_t graph = nullptr;
    CHECK(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeGlobal));
    submit();
    CHECK(cudaStreamEndCapture(stream_, &graph));
    CHECK(cudaGraphInstantiate(&graph_, graph, 0));
    CHECK(cudaGraphDestroy(graph));
  }
  void launch_graph() { CHECK(cudaGraphLaunch(graph_, stream_)); }
  void wait() { CHECK(cudaStreamSynchronize(stream_)); }

  sample::Arrays host{};

 private:
  static constexpr std::size_t kBytes = sample::count * sizeof(float);

  // The image that the GPU at hand can run, as gpu_image::load does for the driver API.
  void load() {
    cudaError_t error = cudaErrorNoKernelImageForDevice;
    for (const gpu_image::Image& image : vector_math_images()) {
      error = cudaLibraryLoadData(&library_, image.data, nullptr, nullptr, 0, nullptr, nullptr, 0);
      if (error != cudaErrorInvalidKernelImage && error != cudaErrorNoKernelImageForDevice) break;
      (void)cudaGetLastError();
    }
    check(error, "cudaLibraryLoadData of every image");
  }

  void launch(cudaKernel_t kernel, void** parameters) {
    CHECK(cudaLaunchKernel(kernel, dim3(sample::blocks), dim3(sample::threads), parameters, 0,
                           stream_));
  }

  cudaLibrary_t library_ = nullptr;
  cudaKernel_t add_ = nullptr, reduce_ = nullptr;
  cudaStream_t stream_ = nullptr;
  cudaGraphExec_t graph_ = nullptr;
  float *a_ = nullptr, *b_ = nullptr, *out_ = nullptr;
  std::uint32_t* values_ = nullptr;
  unsigned long long* sum_ = nullptr;
};

}  // namespace

int main(int argc, char** argv) {
  const bool graph = sample::graph_wanted(argc, argv);
  cudaDeviceProp properties{};
  CHECK(cudaSetDevice(0));
  CHECK(cudaGetDeviceProperties(&properties, 0));
  std::printf("%s, runtime API, %s\n", properties.name, graph ? "in a graph" : "eager");

  Job job;
  if (graph) job.capture();
  bool right = true;
  for (unsigned round = 0; round < sample::rounds; ++round) {
    sample::fill(round, job.host);
    graph ? job.launch_graph() : job.submit();
    job.wait();
    right &= sample::report(round, job.host);
  }
  CHECK(cudaGetLastError());
  CHECK(cudaDeviceReset());
  return right ? 0 : 1;
}
