// What the races use of a GPU: two streams, two kernels, frames of one page, and the virtual memory
// calls, each checked. A sticky error of the GPU is what a race is to be caught by; any other
// failure means that the test itself is broken.
#pragma once

#include <cuda.h>

#include <stdexcept>
#include <string>

namespace races {

// The race was seen: an illegal address, or wrong bytes.
struct Detected : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// The program cannot run here.
struct Unusable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void check(CUresult result, const char* call);
#define RACES_CHECK(call) ::races::check(call, #call)

class Gpu {
 public:
  static constexpr unsigned words = 64;  // that a kernel touches, spread over a page

  Gpu();

  std::size_t page() const { return page_; }
  CUstream first() const { return first_; }  // both non-blocking
  CUstream second() const { return second_; }

  CUdeviceptr reserve(CUdeviceptr wanted = 0) const;
  void free_range(CUdeviceptr range) const { RACES_CHECK(cuMemAddressFree(range, page_)); }
  CUmemGenericAllocationHandle create_frame() const;
  // A frame whose every word is `value`.
  CUmemGenericAllocationHandle create_frame(unsigned value) const;
  void release(CUmemGenericAllocationHandle frame) const { RACES_CHECK(cuMemRelease(frame)); }

  void map(CUdeviceptr range, CUmemGenericAllocationHandle frame) const {
    RACES_CHECK(cuMemMap(range, page_, 0, frame, 0));
  }
  void allow(CUdeviceptr range) const;
  void map_and_allow(CUdeviceptr range, CUmemGenericAllocationHandle frame) const {
    map(range, frame);
    allow(range);
  }
  void unmap(CUdeviceptr range) const { RACES_CHECK(cuMemUnmap(range, page_)); }

  // Kernels over the words of a range. read() leaves them in host memory, for expect().
  void read(CUstream stream, CUdeviceptr range) const;
  void write(CUstream stream, CUdeviceptr range, unsigned value) const;
  void wait(CUstream stream) const { RACES_CHECK(cuStreamSynchronize(stream)); }
  void fill(CUstream stream, CUdeviceptr range, unsigned value) const {
    RACES_CHECK(cuMemsetD32Async(range, value, page_ / sizeof value, stream));
  }

  unsigned* host_words() const { return host_words_; }  // `words` of them, page-locked
  // Detected unless all of host_words() are `value`.
  void expect(unsigned value) const;

 private:
  void launch(CUstream stream, CUfunction kernel, void** parameters) const;

  CUdevice device_ = 0;
  std::size_t page_ = 0;
  CUstream first_ = nullptr, second_ = nullptr;
  CUfunction read_ = nullptr, write_ = nullptr;
  unsigned* host_words_ = nullptr;
};

}  // namespace races
