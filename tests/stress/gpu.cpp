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
    return;
  }
  destroy_streams();
  wait_for_all();
  STRESS_CHECK(cuMemFree(table_));
  STRESS_CHECK(cuMemFreeHost(sum_result_));
  STRESS_CHECK(cuEventDestroy(event_));
  STRESS_CHECK(cuModuleUnload(module_));
  STRESS_CHECK(cuDevicePrimaryCtxRelease(device_));
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

void Gpu::allocate(Buffer& buffer) {
  STRESS_CHECK(cuMemAlloc(&buffer.address, buffer.bytes()));
  STRESS_CHECK(cuMemcpyHtoD(table_ + buffer.slot * sizeof(CUdeviceptr), &buffer.address,
                            sizeof buffer.address));
  // From pageable memory the call returns before the bytes arrived, and only the null stream and
  // blocking ones would be in order after it.
  wait_for(legacy);
}

void Gpu::free(const Buffer& buffer) {
  STRESS_CHECK(cuMemFree(buffer.address));
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

}  // namespace stress
