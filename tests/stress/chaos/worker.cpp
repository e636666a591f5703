#include "worker.h"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

#include "harm.h"
#include "runtime/shared_file.h"
#include "runtime/stats_reader.h"
#include "simgpu/gpu_image.h"
#include "stress_kernels.h"
#include "words.h"

namespace chaos {
namespace {

using stress::Harm;

constexpr unsigned weights[] = {
#define OPERATION(name, weight, text) weight,
#include "operations.def"
};

// Of this process, by vHBM's own account.
std::uint64_t lost_bytes() {
  const char* const configured = std::getenv("VHBM_STATE_DIR");
  const std::string directory = vhbm::state_directory(configured == nullptr ? "" : configured);
  std::uint64_t lost = 0;
  for (const vhbm::StatsSnapshot& one : vhbm::read_live_stats(directory)) {
    if (one.pid == getpid()) lost += one[vhbm::Stat::lost_bytes];
  }
  return lost;
}

}  // namespace

Worker::Worker(std::uint64_t seed, std::size_t memory, Page& page)
    : random_(seed),
      memory_(memory),
      page_(page),
      words_(segment_words),
      sent_(segment_words),
      next_seed_(static_cast<std::uint32_t>(seed)) {
  STRESS_CHECK(cuInit(0));
  STRESS_CHECK(cuDeviceGet(&device_, 0));
  STRESS_CHECK(cuDevicePrimaryCtxRetain(&context_, device_));
  STRESS_CHECK(cuCtxSetCurrent(context_));
  stress::check(gpu_image::load(stress_kernels_images(), &module_), "cuModuleLoadData");
  STRESS_CHECK(cuModuleGetFunction(&fill_, module_, "fill"));
  STRESS_CHECK(cuModuleGetFunction(&add_, module_, "add"));
  STRESS_CHECK(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
}

void Worker::run() {
  std::discrete_distribution<int> next(std::begin(weights), std::end(weights));
  while (!page_.quit) {
    if (buffers_.empty()) {
      allocate();
      rest();
    } else {
      act(static_cast<Operation>(next(random_)));
    }
    ++page_.beats;
  }
  for (Buffer& buffer : buffers_) {
    check(buffer, 0, buffer.segments.size());
    check_answer(cuMemFree(buffer.address), "cuMemFree");
    ++page_.beats;
  }
  STRESS_CHECK(cuDevicePrimaryCtxRelease(device_));
}

void Worker::act(Operation operation) {
  page_.doing = operation;
  Buffer& buffer = some_buffer();
  const std::size_t segment = below(buffer.segments.size());
  switch (operation) {
    case Operation::fill:
      return fill(buffer, segment);
    case Operation::add:
      return add(buffer);
    case Operation::copy_in:
      return copy_in(buffer, segment);
    case Operation::copy_between:
      return copy_between(buffer, segment);
    case Operation::check:
      return check(buffer, segment, 1 + below(buffer.segments.size() - segment));
    case Operation::renew:
      return renew();
    case Operation::rest:
      return rest();
  }
}

void Worker::renew() {
  if (used_ >= memory_ || below(4) == 0) {
    const std::size_t victim = below(buffers_.size());
    check(buffers_[victim], 0, buffers_[victim].segments.size());
    check_answer(cuMemFree(buffers_[victim].address), "cuMemFree");
    used_ -= buffers_[victim].segments.size() * segment_bytes;
    buffers_.erase(buffers_.begin() + static_cast<std::ptrdiff_t>(victim));
  }
  while (used_ < memory_) {
    const std::size_t before = used_;
    allocate();
    ++page_.beats;
    if (used_ == before) break;
  }
}

void Worker::allocate() {
  Buffer made;
  made.segments.resize(2 + below(7));
  const CUresult result = cuMemAlloc(&made.address, made.segments.size() * segment_bytes);
  // Both of its limits are reached, or others have the memory: it goes on with what it has.
  if (result == CUDA_ERROR_OUT_OF_MEMORY) {
    ++page_.out_of_memory;
    return;
  }
  check_answer(result, "cuMemAlloc");
  used_ += made.segments.size() * segment_bytes;
  buffers_.push_back(std::move(made));
  for (std::size_t i = 0; i < buffers_.back().segments.size(); ++i) fill(buffers_.back(), i);
  wait();
}

void Worker::launch(CUfunction kernel, CUdeviceptr address, std::uint64_t count,
                    std::uint32_t value) {
  void* parameters[] = {&address, &count, &value};
  check_answer(cuLaunchKernel(kernel, 4, 1, 1, 64, 1, 1, 0, stream_, parameters, nullptr),
               "cuLaunchKernel");
}

void Worker::fill(Buffer& buffer, std::size_t segment) {
  buffer.segments[segment] = {next_seed_++, 0};
  launch(fill_, buffer.address_of(segment), segment_words, buffer.segments[segment].seed);
}

void Worker::add(Buffer& buffer) {
  const std::size_t first = below(buffer.segments.size());
  const std::size_t count = 1 + below(buffer.segments.size() - first);
  const auto value = static_cast<std::uint32_t>(random_());
  launch(add_, buffer.address_of(first), count * segment_words, value);
  for (std::size_t i = first; i < first + count; ++i) buffer.segments[i].added += value;
}

void Worker::copy_in(Buffer& buffer, std::size_t segment) {
  buffer.segments[segment] = {next_seed_++, 0};
  // The last one may still be on its way.
  wait();
  for (std::size_t i = 0; i < segment_words; ++i) {
    sent_[i] = word_of(i, buffer.segments[segment].seed);
  }
  check_answer(cuMemcpyHtoDAsync(buffer.address_of(segment), sent_.data(), segment_bytes, stream_),
               "cuMemcpyHtoDAsync");
}

void Worker::copy_between(Buffer& to, std::size_t segment) {
  const Buffer& from = some_buffer();
  const std::size_t source = below(from.segments.size());
  if (to.address_of(segment) == from.address_of(source)) return;
  check_answer(
      cuMemcpyDtoDAsync(to.address_of(segment), from.address_of(source), segment_bytes, stream_),
      "cuMemcpyDtoDAsync");
  to.segments[segment] = from.segments[source];
}

void Worker::check(const Buffer& buffer, std::size_t first, std::size_t count) {
  for (std::size_t segment = first; segment < first + count; ++segment) {
    check_answer(
        cuMemcpyDtoHAsync(words_.data(), buffer.address_of(segment), segment_bytes, stream_),
        "cuMemcpyDtoHAsync");
    wait();
    const Segment& expected = buffer.segments[segment];
    for (std::size_t i = 0; i < segment_words; ++i) {
      const std::uint32_t right = word_of(i, expected.seed) + expected.added;
      if (words_[i] == right) continue;
      throw Harm("wrong byte: word " + std::to_string(i) + " of segment " +
                 std::to_string(segment) + " of " + std::to_string(buffer.segments.size()) +
                 " is " + std::to_string(words_[i]) + ", not " + std::to_string(right));
    }
    page_.checked_bytes += segment_bytes;
    ++page_.beats;
  }
}

void Worker::rest() {
  wait();
  for (std::uint64_t left = below(4) == 0 ? below(100) : below(20); left != 0; --left) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ++page_.beats;
    if (page_.quit) return;
  }
}

void Worker::wait() {
  check_answer(cuStreamSynchronize(stream_), "cuStreamSynchronize");
}

void Worker::check_answer(CUresult result, const char* call) const {
  if (result == CUDA_SUCCESS) return;
  const std::uint64_t lost = lost_bytes();
  if (result == CUDA_ERROR_ILLEGAL_ADDRESS && lost != 0) {
    throw Lost(std::string(call) + " answered CUDA_ERROR_ILLEGAL_ADDRESS; " + std::to_string(lost) +
               " bytes are lost");
  }
  stress::check(result, call);
}

}  // namespace chaos
