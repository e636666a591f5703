// Copies and kernels go through the newer or less usual one of two driver functions.
#include "tolerant_program.h"

#include "simgpu/gpu_image.h"
#include "stress_kernels.h"
#include "words.h"

namespace stress {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t pieces = 6;
// With calls that may come late or never.
constexpr std::chrono::milliseconds patience{100};
// Where nothing fails.
constexpr std::chrono::milliseconds work_time{10};

CUresult load(CUlibrary* library) {
  CUresult result = CUDA_ERROR_NO_BINARY_FOR_GPU;
  for (const gpu_image::Image& image : stress_kernels_images()) {
    result = cuLibraryLoadData(library, image.data, nullptr, nullptr, 0, nullptr, nullptr, 0);
    if (result != CUDA_ERROR_INVALID_IMAGE && result != CUDA_ERROR_NO_BINARY_FOR_GPU) break;
  }
  return result;
}

CUresult create(CUcontext* context, CUdevice device) {
#if CUDA_VERSION >= 13000
  return cuCtxCreate(context, nullptr, 0, device);
#else
  return cuCtxCreate(context, 0, device);
#endif
}

}  // namespace

TolerantProgram::TolerantProgram(Plan& plan) : plan_(plan) {
  STRESS_CHECK(cuDeviceGet(&device_, 0));
  tolerant("cuDevicePrimaryCtxRetain",
           [&] { return cuDevicePrimaryCtxRetain(&context_, device_); });
  // vHBM's drains look at this one as well.
  idle_ = make_context();
  tolerant("cuLibraryLoadData", [&] { return load(&library_); });
  STRESS_CHECK(cuLibraryGetKernel(&fill_, library_, "fill"));
  STRESS_CHECK(cuLibraryGetKernel(&add_, library_, "add"));
  tolerant("cuStreamCreateWithPriority",
           [&] { return cuStreamCreateWithPriority(&stream_, CU_STREAM_NON_BLOCKING, 0); });
}

void TolerantProgram::work() {
  while (buffers_.size() < pieces) add_buffer();
  const auto end = Clock::now() + (plan_.armed() ? patience : work_time);
  for (std::size_t round = 0; Clock::now() < end && !(plan_.armed() && plan_.struck()); ++round) {
    for (std::size_t i = 0; i < 6; ++i) use(buffers_[(round + i % 2) % pieces]);
    end_a_stream();
    use_another_context();
    use_native_memory();
    free(buffers_.front().address);
    buffers_.erase(buffers_.begin());
    add_buffer();
  }
}

void TolerantProgram::page() {
  const auto end = Clock::now() + patience;
  for (std::size_t round = 0; Clock::now() < end && !plan_.struck(); ++round) {
    use(buffers_[round / 6 % pieces]);
  }
}

void TolerantProgram::go_on_regardless() {
  Buffer& next = buffers_[regardless_++ / 20 % buffers_.size()];
  try {
    add(next);
  } catch (const Harm&) {  // it was told before
  }
}

void TolerantProgram::check_all() {
  CUcontext current = nullptr;
  STRESS_CHECK(cuCtxGetCurrent(&current));
  if (current != context_) throw Harm("another context is current in the program's thread");
  for (const Buffer& buffer : buffers_) check_bytes(buffer);
}

void TolerantProgram::use_once_more() {
  Buffer one;
  STRESS_CHECK(cuMemAlloc(&one.address, piece));
  fill(one);
  add(one);
  check_bytes(one);
  STRESS_CHECK(cuMemFree(one.address));
}

void TolerantProgram::end() {
  for (std::size_t i = 0; i < buffers_.size() / 2; ++i) free(buffers_[i].address);
  tolerant("cuCtxDestroy", [&] { return cuCtxDestroy(idle_); });
  tolerant("cuDevicePrimaryCtxRelease", [&] { return cuDevicePrimaryCtxRelease(device_); });
}

void TolerantProgram::give_up() {
  for (const Buffer& buffer : buffers_) (void)cuMemFree(buffer.address);
  (void)cuCtxDestroy(idle_);
  STRESS_CHECK(cuDevicePrimaryCtxReset(device_));
  STRESS_CHECK(cuDevicePrimaryCtxRelease(device_));
}

bool TolerantProgram::try_to_add_buffer() {
  Buffer made;
  made.seed = next_seed_++;
  const CUresult result = cuMemAlloc(&made.address, piece);
  if (result == CUDA_ERROR_OUT_OF_MEMORY) return false;
  check(result, "cuMemAlloc");
  fill(made);
  buffers_.push_back(made);
  return true;
}

void TolerantProgram::free_all() {
  for (const Buffer& buffer : buffers_) free(buffer.address);
  buffers_.clear();
}

void TolerantProgram::add_buffer() {
  Buffer made;
  made.seed = next_seed_++;
  tolerant("cuMemAlloc", [&] { return cuMemAlloc(&made.address, piece); });
  fill(made);
  buffers_.push_back(made);
}

void TolerantProgram::free(CUdeviceptr address) {
  const CUresult result = cuMemFree(address);
  if (result == CUDA_SUCCESS) return;
  if (!plan_.armed() || !plan_.struck()) check(result, "cuMemFree");
  // It may have been freed all the same, and not be known any more.
  const CUresult again = cuMemFree(address);
  if (again != CUDA_ERROR_INVALID_VALUE) check(again, "cuMemFree, the second time");
}

void TolerantProgram::launch(CUkernel kernel, void** parameters) {
  CUlaunchConfig shape{};
  shape.gridDimX = 4;
  shape.gridDimY = shape.gridDimZ = shape.blockDimY = shape.blockDimZ = 1;
  shape.blockDimX = 64;
  shape.hStream = stream_;
  const auto function = reinterpret_cast<CUfunction>(kernel);
  tolerant("cuLaunchKernelEx",
           [&] { return cuLaunchKernelEx(&shape, function, parameters, nullptr); });
}

void TolerantProgram::fill(Buffer& buffer) {
  std::uint64_t count = piece / sizeof(std::uint32_t);
  void* parameters[] = {&buffer.address, &count, &buffer.seed};
  launch(fill_, parameters);
}

void TolerantProgram::add(Buffer& buffer) {
  std::uint64_t count = piece / sizeof(std::uint32_t);
  std::uint32_t value = 7;
  void* parameters[] = {&buffer.address, &count, &value};
  launch(add_, parameters);
  buffer.added += value;
}

void TolerantProgram::use(Buffer& buffer) {
  add(buffer);
  wait();
  std::this_thread::sleep_for(1ms);
}

void TolerantProgram::read(const Buffer& buffer) {
  std::uint32_t word = 0;
  for (std::size_t offset = 0; offset < piece; offset += 2 * mebibyte) {
    tolerant("cuMemcpyDtoHAsync", [&] {
      return cuMemcpyDtoHAsync(&word, buffer.address + offset, sizeof word, stream_);
    });
  }
  wait();
  std::this_thread::sleep_for(1ms);
}

void TolerantProgram::wait() {
  tolerant("cuStreamSynchronize", [&] { return cuStreamSynchronize(stream_); });
}

void TolerantProgram::check_bytes(const Buffer& buffer) {
  std::vector<std::uint32_t> words(piece / sizeof(std::uint32_t));
  tolerant("cuMemcpyDtoHAsync",
           [&] { return cuMemcpyDtoHAsync(words.data(), buffer.address, piece, stream_); });
  wait();
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::uint32_t expected = word_of(i, buffer.seed) + buffer.added;
    if (words[i] == expected) continue;
    throw Harm("word " + std::to_string(i) + " of buffer " + std::to_string(buffer.seed) + " is " +
               std::to_string(words[i]) + ", not " + std::to_string(expected));
  }
}

void TolerantProgram::end_a_stream() {
  CUstream stream = nullptr;
  tolerant("cuStreamCreateWithPriority",
           [&] { return cuStreamCreateWithPriority(&stream, CU_STREAM_NON_BLOCKING, 0); });
  STRESS_CHECK(cuLaunchHostFunc(
      stream, [](void*) { std::this_thread::sleep_for(2ms); }, nullptr));
  tolerant("cuStreamDestroy", [&] { return cuStreamDestroy(stream); });
}

CUcontext TolerantProgram::make_context() {
  CUcontext made = nullptr;
  tolerant("cuCtxCreate", [&] { return create(&made, device_); });
  STRESS_CHECK(cuCtxSetCurrent(context_));
  return made;
}

void TolerantProgram::use_another_context() {
  const CUcontext other = make_context();
  STRESS_CHECK(cuCtxSetCurrent(other));
  try {
    CUdeviceptr paged = 0, native = 0;
    tolerant("cuMemAlloc", [&] { return cuMemAlloc(&paged, 2 * mebibyte); });
    tolerant("cuMemAlloc", [&] { return cuMemAlloc(&native, mebibyte / 2); });
    tolerant("cuMemsetD32Async", [&] { return cuMemsetD32Async(paged, 1, 1024, nullptr); });
  } catch (const Harm&) {
    (void)cuCtxDestroy(other);
    throw;
  }
  tolerant("cuCtxDestroy", [&] { return cuCtxDestroy(other); });
  STRESS_CHECK(cuCtxSetCurrent(context_));
}

void TolerantProgram::use_native_memory() {
  std::vector<CUdeviceptr> memory(4);
  for (CUdeviceptr& one : memory) {
    tolerant("cuMemAlloc", [&] { return cuMemAlloc(&one, mebibyte); });
  }
  for (const CUdeviceptr one : memory) free(one);
}

}  // namespace stress
