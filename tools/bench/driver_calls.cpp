// Times calls of the driver API, on whatever libcuda.so.1 and with whatever preloaded library it is
// started with. hook_cost starts it with and without vHBM and compares. Each figure is the calling
// thread's processor time (the clock's where the call may wait), so other processes disturb it
// little.
#include <benchmark/benchmark.h>
#include <cuda.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "bench_kernels.h"
#include "runtime/stats_reader.h"
#include "tools/bench/kernels.h"

namespace {

constexpr std::size_t mebibyte = 1 << 20;
constexpr int calls_between_waits = 256;  // what is queued stays short

void check(CUresult result, const char* call) {
  if (result == CUDA_SUCCESS) return;
  std::fprintf(stderr, "driver_calls: %s gives CUDA error %d\n", call, static_cast<int>(result));
  std::exit(1);
}
#define CHECK_CUDA(call) check(call, #call)

// A program as servers are: one context, one stream, some large buffers that kernels are given.
struct Program {
  Program() {
    CHECK_CUDA(cuInit(0));
    CHECK_CUDA(cuDevicePrimaryCtxRetain(&context, 0));
    CHECK_CUDA(cuCtxSetCurrent(context));
    CHECK_CUDA(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    CUmodule module = nullptr;
    CHECK_CUDA(gpu_image::load(bench_kernels_images(), &module));
    CHECK_CUDA(cuModuleGetFunction(&few, module, "few_parameters"));
    CHECK_CUDA(cuModuleGetFunction(&many, module, "many_parameters"));
    for (CUdeviceptr& buffer : buffers) CHECK_CUDA(cuMemAlloc(&buffer, 4 * mebibyte));
    CHECK_CUDA(cuMemAllocHost(&host, mebibyte));
    few_values = {buffers[0], buffers[1], buffers[2]};
    few_parameters = {&few_values[0], &few_values[1], &few_values[2], &count};
  }

  void make_graph(int kernels) {
    CUgraph graph = nullptr;
    CUDA_KERNEL_NODE_PARAMS node{};
    node.func = few;
    node.gridDimX = node.gridDimY = node.gridDimZ = 1;
    node.blockDimX = node.blockDimY = node.blockDimZ = 1;
    node.kernelParams = few_parameters.data();
    CHECK_CUDA(cuGraphCreate(&graph, 0));
    CUgraphNode last = nullptr;
    for (int i = 0; i < kernels; ++i) {
      CUgraphNode added = nullptr;
      CHECK_CUDA(cuGraphAddKernelNode(&added, graph, &last, last == nullptr ? 0 : 1, &node));
      last = added;
    }
    CHECK_CUDA(cuGraphInstantiate(&executable, graph, 0));
  }

  CUcontext context = nullptr;
  CUstream stream = nullptr;
  CUfunction few = nullptr, many = nullptr;
  std::array<CUdeviceptr, 8> buffers{};
  void* host = nullptr;
  std::array<CUdeviceptr, 3> few_values{};
  unsigned count = 1;
  std::array<void*, 4> few_parameters{};
  CUgraphExec executable = nullptr;
};

Program& program() {
  static Program instance;
  return instance;
}

// Times `call`; what it queued is waited for now and then, untimed.
template <typename Call>
void time_calls(benchmark::State& state, Call&& call) {
  CHECK_CUDA(call());
  int queued = 0;
  CUresult result = CUDA_SUCCESS;
  for (auto _ : state) {
    result = call();
    if (++queued < calls_between_waits) continue;
    state.PauseTiming();
    CHECK_CUDA(cuStreamSynchronize(program().stream));
    queued = 0;
    state.ResumeTiming();
  }
  CHECK_CUDA(cuStreamSynchronize(program().stream));
  check(result, "the timed call");
}

CUresult launch(CUfunction function, void** parameters) {
  return cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, program().stream, parameters, nullptr);
}

void launch_few(benchmark::State& state) {
  time_calls(state, [] { return launch(program().few, program().few_parameters.data()); });
}

// Of the 512 words, `pointers` are addresses of large buffers, spread evenly; the others are small
// numbers.
void launch_many(benchmark::State& state, std::size_t pointers) {
  FourKibibytes values{};
  const std::size_t words = std::size(values.words);
  for (std::size_t i = 0; i < words; ++i) values.words[i] = i;
  for (std::size_t i = 0; i < pointers; ++i) {
    const auto& buffers = program().buffers;
    values.words[i * words / pointers] = buffers[i % buffers.size()] + i * 512;
  }
  std::array<void*, 1> parameters{&values};
  time_calls(state, [&] { return launch(program().many, parameters.data()); });
}

void allocate_and_free(benchmark::State& state, std::size_t size) {
  time_calls(state, [size] {
    CUdeviceptr address = 0;
    const CUresult result = cuMemAlloc(&address, size);
    return result == CUDA_SUCCESS ? cuMemFree(address) : result;
  });
}

void allocate_and_free_in_order(benchmark::State& state, std::size_t size) {
  time_calls(state, [size] {
    CUdeviceptr address = 0;
    const CUresult result = cuMemAllocAsync(&address, size, program().stream);
    return result == CUDA_SUCCESS ? cuMemFreeAsync(address, program().stream) : result;
  });
}

void copy_to_device(benchmark::State& state) {
  time_calls(state, [] {
    return cuMemcpyHtoDAsync(program().buffers[0], program().host, 4096, program().stream);
  });
}

void launch_graph(benchmark::State& state) {
  if (program().executable == nullptr) program().make_graph(8);
  time_calls(state, [] { return cuGraphLaunch(program().executable, program().stream); });
}

void register_all() {
  benchmark::RegisterBenchmark("cuLaunchKernel, 4 parameters", launch_few);
  benchmark::RegisterBenchmark("cuLaunchKernel, 4 KiB with 8 pointers", launch_many, 8);
  benchmark::RegisterBenchmark("cuLaunchKernel, 4 KiB of pointers", launch_many, 512);
  benchmark::RegisterBenchmark("cuMemcpyHtoDAsync, 4 KiB", copy_to_device);
  benchmark::RegisterBenchmark("cuGraphLaunch, 8 kernels", launch_graph);
  benchmark::RegisterBenchmark("cuMemAlloc + cuMemFree, 4 KiB", allocate_and_free, 4096)
      ->UseRealTime();
  benchmark::RegisterBenchmark("cuMemAlloc + cuMemFree, 64 MiB", allocate_and_free, 64 * mebibyte)
      ->UseRealTime();
  benchmark::RegisterBenchmark("cuMemAllocAsync + cuMemFreeAsync, 64 MiB",
                               allocate_and_free_in_order, 64 * mebibyte)
      ->UseRealTime();
}

// Whether vHBM pages this process's buffers; only then is its cost measured.
bool is_paged() {
  const char* directory = std::getenv("VHBM_STATE_DIR");
  if (directory == nullptr) return false;
  for (const auto& one : vhbm::read_live_stats(directory)) {
    if (one.pid == getpid() && one[vhbm::Stat::regions] >= program().buffers.size()) return true;
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 64;
  (void)program();
  benchmark::AddCustomContext("paged", is_paged() ? "yes" : "no");
  register_all();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
