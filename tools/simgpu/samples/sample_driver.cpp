// vector_add and reduce_sum through the driver API: sample_driver [--graph]. Exit code 0 when every
// result is right.
#include <cuda.h>

#include <cstdio>

#include "sample.h"
#include "vector_math.h"

namespace {

void check(CUresult result, const char* call) {
  if (result == CUDA_SUCCESS) return;
  const char* name = nullptr;
  cuGetErrorName(result, &name);
  sample::fail(std::string(call) + ": " + (name == nullptr ? "unknown error" : name));
}
#define CHECK(call) check(call, #call)

template <typename T>
T* host_array(std::size_t count) {
  void* memory = nullptr;
  CHECK(cuMemAllocHost(&memory, count * sizeof(T)));
  return static_cast<T*>(memory);
}

class Job {
 public:
  Job() {
    CHECK(gpu_image::load(vector_math_images(), &module_));
    CHECK(cuModuleGetFunction(&add_, module_, "vector_add"));
    CHECK(cuModuleGetFunction(&reduce_, module_, "reduce_sum"));
    CHECK(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
    for (CUdeviceptr* array : {&a_, &b_, &out_, &values_}) CHECK(cuMemAlloc(array, kBytes));
    CHECK(cuMemAlloc(&sum_, sizeof(unsigned long long)));
    host = {host_array<float>(sample::count), host_array<float>(sample::count),
            host_array<float>(sample::count), host_array<std::uint32_t>(sample::count),
            host_array<unsigned long long>(1)};
  }

  // One round: inputs to the GPU, both kernels, results back.
  void submit() {
    int n = sample::count;
    void* add_parameters[] = {&out_, &a_, &b_, &n};
    void* reduce_parameters[] = {&sum_, &values_, &n};
    CHECK(cuMemcpyHtoDAsync(a_, host.a, kBytes, stream_));
    CHECK(cuMemcpyHtoDAsync(b_, host.b, kBytes, stream_));
    CHECK(cuMemcpyHtoDAsync(values_, host.values, kBytes, stream_));
    CHECK(cuMemsetD32Async(sum_, 0, 2, stream_));
    launch(add_, add_parameters);
    launch(reduce_, reduce_parameters);
    CHECK(cuMemcpyDtoHAsync(host.out, out_, kBytes, stream_));
    CHECK(cuMemcpyDtoHAsync(host.sum, sum_, sizeof *host.sum, stream_));
  }

  void capture() {
    CUgraph graph = nullptr;
    CHECK(cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_GLOBAL));
    submit();
    CHECK(cuStreamEndCapture(stream_, &graph));
    CHECK(cuGraphInstantiate(&graph_, graph, 0));
    CHECK(cuGraphDestroy(graph));
  }
  void launch_graph() { CHECK(cuGraphLaunch(graph_, stream_)); }
  void wait() { CHECK(cuStreamSynchronize(stream_)); }

  sample::Arrays host{};

 private:
  static constexpr std::size_t kBytes = sample::count * sizeof(float);

  void launch(CUfunction kernel, void** parameters) {
    CHECK(cuLaunchKernel(kernel, sample::blocks, 1, 1, sample::threads, 1, 1, 0, stream_,
                         parameters, nullptr));
  }

  CUmodule module_ = nullptr;
  CUfunction add_ = nullptr, reduce_ = nullptr;
  CUstream stream_ = nullptr;
  CUgraphExec graph_ = nullptr;
  CUdeviceptr a_ = 0, b_ = 0, out_ = 0, values_ = 0, sum_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const bool graph = sample::graph_wanted(argc, argv);
  CUdevice device = 0;
  CUcontext context = nullptr;
  char name[256];
  CHECK(cuInit(0));
  CHECK(cuDeviceGet(&device, 0));
  CHECK(cuDeviceGetName(name, sizeof name, device));
  CHECK(cuDevicePrimaryCtxRetain(&context, device));
  CHECK(cuCtxSetCurrent(context));
  std::printf("%s, driver API, %s\n", name, graph ? "in a graph" : "eager");

  Job job;
  if (graph) job.capture();
  bool right = true;
  for (unsigned round = 0; round < sample::rounds; ++round) {
    sample::fill(round, job.host);
    graph ? job.launch_graph() : job.submit();
    job.wait();
    right &= sample::report(round, job.host);
  }
  CHECK(cuDevicePrimaryCtxRelease(device));
  return right ? 0 : 1;
}
