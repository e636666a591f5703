#include "runtime/kv_probe.h"

#include <chrono>
#include <cstring>
#include <thread>

#include "kv_probe_images.h"
#include "runtime/context_scope.h"

namespace vhbm {
namespace {

constexpr std::chrono::seconds try_out_patience{5};
constexpr std::size_t memory_size = KvProbe::most_marks + KvProbe::most_words * sizeof(KvWords) +
                                    KvProbe::most_guards * sizeof(std::uint32_t);

std::uint64_t address_of(const void* memory) {
  return reinterpret_cast<std::uint64_t>(memory);
}

}  // namespace

KvProbe::~KvProbe() {
  if (loaded_in_ == nullptr || kept_.load()) return;
  ContextScope scope(driver_, loaded_in_);
  if (scope.result() != CUDA_SUCCESS) return;
  if (module_ != nullptr) driver_.cuModuleUnload(module_);
  if (memory_ != nullptr) driver_.cuMemFreeHost(memory_);
}

void KvProbe::context_destroyed(CUcontext context) {
  if (loaded_in_ != context) return;
  context_.store(nullptr, std::memory_order_release);
  // Page-locked memory goes with the context that it was made in, and so does the module.
  loaded_in_ = nullptr;
  module_ = nullptr;
  memory_ = nullptr;
}

Status KvProbe::prepare(CUcontext context, CUstream stream) {
  if (driver_.cuLaunchKernel == nullptr || driver_.cuModuleLoadData == nullptr ||
      driver_.cuModuleGetFunction == nullptr || driver_.cuModuleUnload == nullptr ||
      driver_.cuMemAllocHost_v2 == nullptr || driver_.cuMemFreeHost == nullptr) {
    return {Errc::unsupported, "this driver loads no kernels"};
  }
  ContextScope scope(driver_, context);
  if (scope.result() != CUDA_SUCCESS) return Status::driver(scope.result(), "cuCtxPushCurrent");
  loaded_in_ = context;
  CUresult result = CUDA_ERROR_NO_BINARY_FOR_GPU;
  for (const gpu_image::Image& image : kv_probe_images_images()) {
    result = driver_.cuModuleLoadData(&module_, image.data);
    if (result != CUDA_ERROR_INVALID_IMAGE && result != CUDA_ERROR_NO_BINARY_FOR_GPU) break;
  }
  if (result != CUDA_SUCCESS) {
    module_ = nullptr;
    return Status::driver(result, "cuModuleLoadData");
  }
  result = driver_.cuModuleGetFunction(&probe_, module_, "probe_kv");
  if (result != CUDA_SUCCESS) return Status::driver(result, "cuModuleGetFunction");
  void* memory = nullptr;
  result = driver_.cuMemAllocHost_v2(&memory, memory_size);
  if (result != CUDA_SUCCESS) return Status::driver(result, "cuMemAllocHost");
  std::memset(memory, 0, memory_size);
  memory_ = static_cast<std::uint8_t*>(memory);
  if (Status status = try_out(stream); !status.ok()) return status;
  context_.store(context, std::memory_order_release);
  return {};
}

// Looks at a table in its own memory, also since a driver may load a kernel when it first runs,
// which is not to be amid a capture.
Status KvProbe::try_out(CUstream stream) {
  KvWords* const seen = words();
  seen->wanted = 1;
  guards()[0] = 7;
  auto* const table = reinterpret_cast<std::int32_t*>(memory_ + most_marks / 2);
  table[0] = 2, table[1] = 99;  // the other one there is not
  table[2] = 17;                // tokens: of two blocks
  KvProbeRequest request{};
  request.cache[0] = {0, 4096, 4096, 4, address_of(seen), address_of(memory_), 12};
  request.guard[0] = {address_of(guards()), 7};
  request.table = address_of(table), request.table_entries = 2, request.table_stride = 2;
  request.lengths = address_of(table + 2), request.length_entries = 1;
  request.sequences = 1, request.block_tokens = 16;
  request.caches = request.guards = 1;
  if (CUresult result = launch(request, stream); result != CUDA_SUCCESS) {
    return Status::driver(result, "cuLaunchKernel");
  }
  const auto deadline = std::chrono::steady_clock::now() + try_out_patience;
  CUresult result = CUDA_SUCCESS;
  while ((result = driver_.cuStreamQuery(stream)) == CUDA_ERROR_NOT_READY &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  if (result == CUDA_ERROR_NOT_READY) {
    // What may still write there stays.
    memory_ = nullptr;
    module_ = nullptr;
    return {Errc::unsupported, "the kernel does not end on this GPU"};
  }
  if (result != CUDA_SUCCESS) return Status::driver(result, "the kernel");
  const bool right = seen->wanted == 0 && seen->looks == 1 && seen->entries == 2 &&
                     seen->strays == 1 && memory_[2] == 1 && memory_[0] == 0 && memory_[1] == 0 &&
                     memory_[3] == 0;
  std::memset(memory_, 0, memory_size);
  return right ? Status() : Status(Errc::unsupported, "the kernel gave a wrong answer on this GPU");
}

CUresult KvProbe::launch(const KvProbeRequest& request, CUstream stream) const noexcept {
  KvProbeRequest given = request;
  void* parameters[] = {&given};
  return driver_.cuLaunchKernel(probe_, 1, 1, 1, kv_probe_threads, 1, 1, 0, stream, parameters,
                                nullptr);
}

}  // namespace vhbm
