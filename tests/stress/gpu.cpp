// Plain use of the driver API, as a program that knows nothing of vHBM makes it.
#include "gpu.h"

#include <mutex>
#include <utility>

#include "harm.h"
#include "simgpu/gpu_image.h"
#include "stress_kernels.h"
#include "words.h"

namespace stress {
namespace {

constexpr std::size_t table_bytes = 2 << 20;  // a region, so it is paged like all else

// Waiting for a context breaks the captures in it.
std::mutex waits_or_captures;

}  // namespace

Gpu::Gpu(bool own_context) : own_context_(own_context) {
  STRESS_CHECK(cuInit(0));
  STRESS_CHECK(cuDeviceGet(&device_, 0));
  if (own_context) {
#if CUDA_VERSION >= 13000
    STRESS_CHECK(cuCtxCreate(&context_, nullptr, 0, device_));
#else
    STRESS_CHECK(cuCtxCreate(&context_, 0, device_));
#endif
  } else {
    STRESS_CHECK(cuDevicePrimaryCtxRetain(&context_, device_));
    STRESS_CHECK(cuCtxSetCurrent(context_));
  }
  check(gpu_image::load(stress_kernels_images(), &module_), "cuModuleLoadData");
  for (const auto& [function, name] : {std::pair{&fill_, "fill"},
                                       {&add_, "add"},
                                       {&hidden_add_, "hidden_add"},
                                       {&linger_, "linger"},
                                       {&sum_, "sum"}}) {
    check(cuModuleGetFunction(function, module_, name), name);
  }
  load_library();
  STRESS_CHECK(cuEventCreate(&event_, CU_EVENT_DISABLE_TIMING));
  STRESS_CHECK(cuMemAlloc(&table_, table_bytes));
  void* memory = nullptr;
  STRESS_CHECK(cuMemHostAlloc(&memory,
                              staging_words * sizeof(std::uint32_t) + sizeof(std::uint64_t),
                              CU_MEMHOSTALLOC_PORTABLE));
  sum_result_ = static_cast<std::uint64_t*>(memory);
  staging_ = static_cast<std::uint32_t*>(memory) + 2;
  make_streams();
}

Gpu::~Gpu() {
  // After harm the GPU may be lost, and there is nothing to tidy up.
  try {
    close();
  } catch (const Harm&) {
  }
}

void Gpu::close() {
  if (context_ == nullptr) return;
  CUcontext context = std::exchange(context_, nullptr);
  if (own_context_) {
    STRESS_CHECK(cuMemFreeHost(sum_result_));
    STRESS_CHECK(cuCtxDestroy(context));
    STRESS_CHECK(cuLibraryUnload(library_));
    return;
  }
  destroy_streams();
  wait_for_all();
  STRESS_CHECK(cuMemFree(table_));
  STRESS_CHECK(cuMemFreeHost(sum_result_));
  STRESS_CHECK(cuEventDestroy(event_));
  STRESS_CHECK(cuModuleUnload(module_));
  STRESS_CHECK(cuLibraryUnload(library_));
  STRESS_CHECK(cuDevicePrimaryCtxRelease(device_));
}

void Gpu::load_library() {
  CUresult loaded = CUDA_ERROR_NO_BINARY_FOR_GPU;
  for (const auto& image : stress_kernels_images()) {
    loaded = cuLibraryLoadData(&library_, image.data, nullptr, nullptr, 0, nullptr, nullptr, 0);
    if (loaded == CUDA_SUCCESS) break;
  }
  check(loaded, "cuLibraryLoadData");
  STRESS_CHECK(cuLibraryGetKernel(&add_kernel_, library_, "add"));
}

void Gpu::make_streams() {
  for (unsigned kind : {non_blocking, other_non_blocking}) {
    STRESS_CHECK(cuStreamCreate(&streams_[kind], CU_STREAM_NON_BLOCKING));
  }
  STRESS_CHECK(cuStreamCreate(&streams_[blocking], CU_STREAM_DEFAULT));
  streams_[legacy] = nullptr;
  streams_[per_thread] = CU_STREAM_PER_THREAD;
}

void Gpu::destroy_streams() {
  for (unsigned kind : {non_blocking, other_non_blocking, blocking}) {
    STRESS_CHECK(cuStreamDestroy(streams_[kind]));
  }
}

void Gpu::renew_streams() {
  // What comes on the new streams must come after; the null stream does not wait for the others.
  for (unsigned kind : {non_blocking, other_non_blocking, blocking}) order(kind, per_thread);
  destroy_streams();
  make_streams();
  for (unsigned kind : {non_blocking, other_non_blocking, blocking}) order(per_thread, kind);
  staged_on_ = per_thread;
}

void Gpu::launch(CUfunction kernel, unsigned blocks, unsigned stream, void** parameters) {
  STRESS_CHECK(
      cuLaunchKernel(kernel, blocks, 1, 1, 64, 1, 1, 0, streams_[stream], parameters, nullptr));
}

void Gpu::copy_in(const Edit& edit, unsigned stream) {
  wait_for(staged_on_);
  for (std::size_t i = 0; i < edit.count; ++i) staging_[i] = word_of(i, edit.value);
  STRESS_CHECK(cuMemcpyHtoDAsync(edit.address(), staging_, edit.count * sizeof(std::uint32_t),
                                 streams_[stream]));
  staged_on_ = stream;
}

void Gpu::copy_rows(const Edit& edit, unsigned stream) {
  constexpr std::size_t word = sizeof(std::uint32_t);
  const Rows rows = rows_of(edit);
  CUDA_MEMCPY3D copy{};
  copy.dstMemoryType = copy.srcMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.dstDevice = edit.address();
  copy.srcDevice = edit.source->address + edit.source_first * word;
  copy.dstPitch = copy.srcPitch = rows.pitch * word;
  copy.WidthInBytes = rows.width * word;
  if (edit.value % 2 == 0 || rows.height == 1) {
    CUDA_MEMCPY2D flat{};
    flat.dstMemoryType = flat.srcMemoryType = CU_MEMORYTYPE_DEVICE;
    flat.dstDevice = copy.dstDevice;
    flat.srcDevice = copy.srcDevice;
    flat.dstPitch = flat.srcPitch = copy.dstPitch;
    flat.WidthInBytes = copy.WidthInBytes;
    flat.Height = rows.height;
    STRESS_CHECK(cuMemcpy2DAsync(&flat, streams_[stream]));
    return;
  }
  copy.dstHeight = copy.srcHeight = copy.Height = 3;
  copy.Depth = rows.height / 3;
  STRESS_CHECK(cuMemcpy3DAsync(&copy, streams_[stream]));
}

void Gpu::copy_batch(const Edit& edit, unsigned stream) {
  constexpr std::size_t word = sizeof(std::uint32_t);
  const CUdeviceptr first_to = edit.address();
  const CUdeviceptr first_from = edit.source->address + edit.source_first * word;
#if CUDA_VERSION >= 13000
  // A batch must have a stream (cuda.h: cuMemcpyBatchAsync).
  if (streams_[stream] != nullptr && edit.count > 1) {
    const std::size_t half = edit.count / 2 * word;
    CUdeviceptr to[] = {first_to, first_to + half}, from[] = {first_from, first_from + half};
    std::size_t sizes[] = {half, edit.count * word - half}, first = 0;
    CUmemcpyAttributes attributes{};
    attributes.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM;
    STRESS_CHECK(cuMemcpyBatchAsync(to, from, sizes, 2, &attributes, &first, 1, streams_[stream]));
    return;
  }
#endif
  STRESS_CHECK(cuMemcpyDtoDAsync(first_to, first_from, edit.count * word, streams_[stream]));
}

void Gpu::packed_add(const Edit& edit, unsigned stream) {
  struct {
    CUdeviceptr words;
    unsigned long long count;
    unsigned value;
  } packed{edit.address(), edit.count, edit.value};
  std::size_t size = sizeof packed;
  void* extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &packed, CU_LAUNCH_PARAM_BUFFER_SIZE, &size,
                   CU_LAUNCH_PARAM_END};
  STRESS_CHECK(cuLaunchKernel(reinterpret_cast<CUfunction>(add_kernel_), 4, 1, 1, 64, 1, 1, 0,
                              streams_[stream], nullptr, extra));
}

void Gpu::submit(const Edit& edit, unsigned stream) {
  CUdeviceptr address = edit.address();
  unsigned long long first = edit.first, count = edit.count;
  unsigned slot = edit.buffer->slot, value = edit.value, rounds = edit.rounds;
  void* named[] = {&address, &count, &value};
  void* hidden[] = {&table_, &slot, &first, &count, &value, &rounds};
  switch (edit.kind) {
    case Operation::copy_in:
      return copy_in(edit, stream);
    case Operation::copy_between:
      STRESS_CHECK(cuMemcpyDtoDAsync(
          address, edit.source->address + edit.source_first * sizeof(std::uint32_t),
          edit.count * sizeof(std::uint32_t), streams_[stream]));
      return;
    case Operation::set_bytes:
      STRESS_CHECK(cuMemsetD8Async(address, static_cast<unsigned char>(value),
                                   edit.count * sizeof(std::uint32_t), streams_[stream]));
      return;
    case Operation::set_words:
      STRESS_CHECK(cuMemsetD32Async(address, value, edit.count, streams_[stream]));
      return;
    case Operation::copy_rows:
      return copy_rows(edit, stream);
    case Operation::copy_batch:
      return copy_batch(edit, stream);
    case Operation::set_rows: {
      const Rows rows = rows_of(edit);
      STRESS_CHECK(cuMemsetD2D32Async(address, rows.pitch * sizeof(std::uint32_t), value,
                                      rows.width, rows.height, streams_[stream]));
      return;
    }
    case Operation::packed_add:
      return packed_add(edit, stream);
    case Operation::fill:
      return launch(fill_, 4, stream, named);
    case Operation::add:
      return launch(add_, 4, stream, named);
    case Operation::hidden_add:
      return launch(hidden_add_, 4, stream, hidden);
    case Operation::linger:
      STRESS_CHECK(cuLaunchKernel(linger_, 1, 1, 1, 1, 1, 1, 0, streams_[stream], hidden, nullptr));
      return;
    default:
      throw Harm("an operation that is no edit was submitted as one");
  }
}

void Gpu::order(unsigned earlier, unsigned later) {
  if (earlier == later) return;
  STRESS_CHECK(cuEventRecord(event_, streams_[earlier]));
  STRESS_CHECK(cuStreamWaitEvent(streams_[later], event_, 0));
}

Words Gpu::read(const Buffer& buffer, std::size_t first, std::size_t count, bool synchronously) {
  Words words(count);
  const CUdeviceptr from = buffer.address + first * sizeof(std::uint32_t);
  if (synchronously) {
    wait_for(buffer.stream);
    STRESS_CHECK(cuMemcpyDtoH(words.data(), from, count * sizeof(std::uint32_t)));
  } else {
    STRESS_CHECK(cuMemcpyDtoHAsync(words.data(), from, count * sizeof(std::uint32_t),
                                   streams_[buffer.stream]));
    wait_for(buffer.stream);
  }
  return words;
}

std::uint64_t Gpu::sum(const Buffer& buffer, std::size_t first, std::size_t count) {
  CUdeviceptr from = buffer.address + first * sizeof(std::uint32_t);
  unsigned long long words = count;
  *sum_result_ = 0;
  void* parameters[] = {&from, &words, &sum_result_};
  launch(sum_, 4, buffer.stream, parameters);
  wait_for(buffer.stream);
  return *sum_result_;
}

void Gpu::wait_for(unsigned stream) {
  STRESS_CHECK(cuStreamSynchronize(streams_[stream]));
}

void Gpu::wait_for_all() {
  std::lock_guard lock(waits_or_captures);
  STRESS_CHECK(cuCtxSynchronize());
}

CUgraphExec Gpu::record(const std::vector<Edit>& edits, unsigned stream) {
  CUgraph graph = nullptr;
  CUgraphExec executable = nullptr;
  {
    std::lock_guard lock(waits_or_captures);
    // Other threads go on meanwhile with calls that a global capture would forbid them.
    STRESS_CHECK(cuStreamBeginCapture(streams_[stream], CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    for (const Edit& edit : edits) submit(edit, stream);
    STRESS_CHECK(cuStreamEndCapture(streams_[stream], &graph));
  }
  STRESS_CHECK(cuGraphInstantiate(&executable, graph, 0));
  STRESS_CHECK(cuGraphDestroy(graph));
  return executable;
}

void Gpu::launch(CUgraphExec graph, unsigned stream) {
  STRESS_CHECK(cuGraphLaunch(graph, streams_[stream]));
}

namespace {

// Calls `use` with the parameters of a node that makes the edit.
template <typename Use>
void with_node(CUfunction add, const Edit& edit, Use&& use) {
  CUdeviceptr address = edit.address();
  unsigned long long count = edit.count;
  unsigned value = edit.value;
  void* parameters[] = {&address, &count, &value};
  CUDA_KERNEL_NODE_PARAMS node{};
  node.func = add;
  node.gridDimX = 4;
  node.blockDimX = 64;
  node.gridDimY = node.gridDimZ = node.blockDimY = node.blockDimZ = 1;
  node.kernelParams = parameters;
  use(node);
}

}  // namespace

Gpu::Built Gpu::build(const std::vector<Edit>& adds) {
  Built built;
  STRESS_CHECK(cuGraphCreate(&built.graph, 0));
  for (const Edit& edit : adds) {
    CUgraphNode node = nullptr;
    with_node(add_, edit, [&](const CUDA_KERNEL_NODE_PARAMS& parameters) {
      STRESS_CHECK(cuGraphAddKernelNode(&node, built.graph,
                                        built.nodes.empty() ? nullptr : &built.nodes.back(),
                                        built.nodes.empty() ? 0 : 1, &parameters));
    });
    built.nodes.push_back(node);
  }
  STRESS_CHECK(cuGraphInstantiate(&built.executable, built.graph, 0));
  return built;
}

void Gpu::change(const Built& built, std::size_t node, const Edit& add) {
  with_node(add_, add, [&](const CUDA_KERNEL_NODE_PARAMS& parameters) {
    STRESS_CHECK(cuGraphExecKernelNodeSetParams(built.executable, built.nodes[node], &parameters));
  });
}

}  // namespace stress
