// One image a kind of GPU is embedded; the driver takes the one that it can run.
#include "runtime/page_kernels.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "page_kernels_images.h"
#include "runtime/context_scope.h"
#include "runtime/kernels/chunk_batch.h"

namespace vhbm {
namespace {

constexpr std::size_t lanes = 2;
// The self-test hashes and copies this much of the results' own memory.
constexpr Bytes sample = kib(4);
constexpr std::chrono::seconds try_out_patience{5};
constexpr int most_failures = 3;

Word word_at(const void* bytes, std::size_t index) {
  Word word;
  std::memcpy(&word, static_cast<const char*>(bytes) + index * sizeof(Word), sizeof(Word));
  return word;
}

}  // namespace

Hash hash_of(const void* bytes, std::size_t size) {
  Hash hash;
  for (std::size_t i = 0; i < size / sizeof(Word); ++i) add_word(hash, word_at(bytes, i), i);
  return hash;
}

PageKernels::~PageKernels() {
  if (context_ != nullptr) {
    ContextScope scope(driver_, context_);
    if (scope.result() != CUDA_SUCCESS) return;
    if (module_ != nullptr) driver_.cuModuleUnload(module_);
    if (sums_ != nullptr) driver_.cuMemFreeHost(sums_);
  }
}

void PageKernels::context_destroyed(CUcontext context) {
  if (context_ != context) return;
  // Page-locked memory goes with the context that it was made in, and so does the module.
  context_ = nullptr;
  module_ = nullptr;
  sums_ = nullptr;
  usable_ = false;
}

Status PageKernels::prepare(CUcontext context, CUstream stream, std::size_t most) {
  if (usable_) return {};
  if (given_up_) return {Errc::unsupported, "the pager's kernels do not work here"};
  if (driver_.cuLaunchKernel == nullptr || driver_.cuModuleLoadData == nullptr ||
      driver_.cuModuleGetFunction == nullptr || driver_.cuModuleUnload == nullptr ||
      driver_.cuMemAllocHost_v2 == nullptr || driver_.cuMemFreeHost == nullptr) {
    given_up_ = true;
    return {Errc::unsupported, "this driver loads no kernels"};
  }
  ContextScope scope(driver_, context);
  if (scope.result() != CUDA_SUCCESS) return Status::driver(scope.result(), "cuCtxPushCurrent");
  context_ = context;
  // What an attempt has got stays for the next one: its kernels may still write to the results.
  Status status = load();
  if (status.ok()) status = make_room(most);
  if (status.ok()) status = try_out(stream);
  usable_ = status.ok();
  failures_ = usable_ ? 0 : failures_ + 1;
  given_up_ = status.code() == Errc::unsupported || failures_ == most_failures;
  return status;
}

Status PageKernels::load() {
  CUresult result = module_ != nullptr ? CUDA_SUCCESS : CUDA_ERROR_NO_BINARY_FOR_GPU;
  for (const gpu_image::Image& image : page_kernels_images_images()) {
    if (result == CUDA_SUCCESS) break;
    result = driver_.cuModuleLoadData(&module_, image.data);
    if (result != CUDA_ERROR_INVALID_IMAGE && result != CUDA_ERROR_NO_BINARY_FOR_GPU) break;
  }
  if (result != CUDA_SUCCESS) {
    module_ = nullptr;
    return Status::driver(result, "cuModuleLoadData");
  }
  result = driver_.cuModuleGetFunction(&hash_, module_, "hash_chunks");
  if (result == CUDA_SUCCESS) {
    result = driver_.cuModuleGetFunction(&copy_, module_, "copy_chunks");
  }
  return result == CUDA_SUCCESS ? Status() : Status::driver(result, "cuModuleGetFunction");
}

Status PageKernels::make_room(std::size_t most) {
  if (sums_ != nullptr) return {};
  const std::size_t bytes =
      std::max(lanes * most * hash_parts * sizeof(Hash), 4 * std::size_t{sample.value});
  void* memory = nullptr;
  const CUresult result = driver_.cuMemAllocHost_v2(&memory, bytes);
  if (result != CUDA_SUCCESS) return Status::driver(result, "cuMemAllocHost");
  sums_ = static_cast<Hash*>(memory);
  most_ = most;
  return {};
}

// Copies and hashes a pattern, and compares with what this thread makes of it.
Status PageKernels::try_out(CUstream stream) {
  auto* const pattern = reinterpret_cast<unsigned char*>(sums_) + 2 * sample.value;
  auto* const arrived = pattern + sample.value;
  for (std::size_t i = 0; i < sample.value; ++i) {
    pattern[i] = static_cast<unsigned char>(mixed(i));
    arrived[i] = 0;
  }
  const DeviceAddress from{reinterpret_cast<std::uint64_t>(pattern)};
  const DeviceAddress to{reinterpret_cast<std::uint64_t>(arrived)};
  CUresult result = launch(copy_, sums_, {&from, 1}, {&to, 1}, sample, stream);
  if (result == CUDA_SUCCESS) {
    result = launch(hash_, sums_ + hash_parts, {&to, 1}, {}, sample, stream);
  }
  if (result != CUDA_SUCCESS) return Status::driver(result, "cuLaunchKernel");
  const auto deadline = std::chrono::steady_clock::now() + try_out_patience;
  while ((result = driver_.cuStreamQuery(stream)) == CUDA_ERROR_NOT_READY &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  if (result == CUDA_ERROR_NOT_READY) {
    return {Errc::unsupported, "the pager's kernels do not end on this GPU"};
  }
  if (result != CUDA_SUCCESS) return Status::driver(result, "a kernel of the pager");
  const Hash expected = hash_of(pattern, sample.value);
  if (std::memcmp(pattern, arrived, sample.value) != 0 || !(result_of(sums_) == expected) ||
      !(result_of(sums_ + hash_parts) == expected)) {
    return {Errc::unsupported, "the pager's kernels gave a wrong answer on this GPU"};
  }
  return {};
}

CUresult PageKernels::launch(CUfunction kernel, Hash* sums, std::span<const DeviceAddress> from,
                             std::span<const DeviceAddress> to, Bytes size, CUstream stream) {
  CUresult result = CUDA_SUCCESS;
  for (std::size_t first = 0; first < from.size() && result == CUDA_SUCCESS;
       first += ChunkBatch::most) {
    const std::size_t count = std::min<std::size_t>(from.size() - first, ChunkBatch::most);
    ChunkBatch batch{};
    for (std::size_t i = 0; i < count; ++i) {
      batch.from[i] = from[first + i].value;
      if (!to.empty()) batch.to[i] = to[first + i].value;
    }
    std::uint64_t words = size.value / sizeof(Word);
    Hash* sum = sums + first * hash_parts;
    void* parameters[] = {&batch, &words, &sum};
    result = driver_.cuLaunchKernel(kernel, hash_parts, static_cast<unsigned>(count), 1,
                                    hash_threads, 1, 1, 0, stream, parameters, nullptr);
  }
  return result;
}

Hash* PageKernels::sums(Lane lane, std::size_t index) const {
  return sums_ + (static_cast<std::size_t>(lane) * most_ + index) * hash_parts;
}

CUresult PageKernels::hash(Lane lane, std::size_t first, std::span<const DeviceAddress> chunks,
                           Bytes size, CUstream stream) {
  return launch(hash_, sums(lane, first), chunks, {}, size, stream);
}

CUresult PageKernels::copy(Lane lane, std::size_t first, std::span<const DeviceAddress> from,
                           std::span<const DeviceAddress> to, Bytes size, CUstream stream) {
  return launch(copy_, sums(lane, first), from, to, size, stream);
}

Hash PageKernels::result(Lane lane, std::size_t index) const {
  return result_of(sums(lane, index));
}

Hash PageKernels::result_of(const Hash* sums) {
  Hash hash;
  for (unsigned part = 0; part < hash_parts; ++part) {
    hash.low += sums[part].low;
    hash.high += sums[part].high;
  }
  return hash;
}

}  // namespace vhbm
