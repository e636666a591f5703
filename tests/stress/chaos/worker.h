// A CUDA program that keeps several times as much memory as it may hold in HBM, and knows each word
// of it: every segment holds what one kernel wrote, plus what others added since. Locking: one
// thread.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <memory>
#include <random>
#include <stdexcept>
#include <vector>

#include "page.h"

namespace chaos {

// The driver said that the bytes are gone, which is right when a tier lost them.
struct Lost : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Worker {
 public:
  Worker(std::uint64_t seed, std::size_t memory, Page& page);

  // Works until the page says to quit, then compares everything and ends in order. Throws
  // stress::Harm, or Lost.
  void run();

 private:
  static constexpr std::size_t segment_bytes = 1 << 20;
  static constexpr std::size_t segment_words = segment_bytes / sizeof(std::uint32_t);

  struct Segment {
    std::uint32_t seed = 0, added = 0;
  };
  struct Buffer {
    CUdeviceptr address = 0;
    std::vector<Segment> segments;
    [[nodiscard]] CUdeviceptr address_of(std::size_t segment) const {
      return address + segment * segment_bytes;
    }
  };

  void act(Operation operation);
  void allocate();
  void renew();
  void fill(Buffer& buffer, std::size_t segment);
  void add(Buffer& buffer);
  void copy_in(Buffer& buffer, std::size_t segment);
  void copy_between(Buffer& to, std::size_t segment);
  // Some segments of it, from `first` on.
  void check(const Buffer& buffer, std::size_t first, std::size_t count);
  void rest();
  void wait();
  void launch(CUfunction kernel, CUdeviceptr address, std::uint64_t count, std::uint32_t value);
  // Throws Lost where the driver has reason to refuse.
  void check_answer(CUresult result, const char* call) const;

  [[nodiscard]] std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  [[nodiscard]] Buffer& some_buffer() { return buffers_[below(buffers_.size())]; }

  std::mt19937_64 random_;
  const std::size_t memory_;
  Page& page_;
  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
  CUmodule module_ = nullptr;
  CUfunction fill_ = nullptr, add_ = nullptr;
  CUstream stream_ = nullptr;
  std::vector<Buffer> buffers_;
  std::size_t used_ = 0;
  std::vector<std::uint32_t> words_, sent_;  // read back, and copied in
  std::uint32_t next_seed_;
};

}  // namespace chaos
