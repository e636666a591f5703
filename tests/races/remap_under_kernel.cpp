// A remap does not wait for kernels: one that runs reads the other frame, or finds nothing.
#include "race.h"

namespace races {
namespace {

class RemapUnderKernel final : public Race {
 public:
  explicit RemapUnderKernel(const Gpu& gpu) : gpu_(gpu), range_(gpu.reserve()) {
    gpu_.map_and_allow(range_, frames_[0]);
  }

  void round(unsigned number, Variant variant) override {
    const unsigned now = number % 2, next = 1 - now;
    gpu_.read(gpu_.first(), range_);
    if (variant == Variant::right) gpu_.wait(gpu_.first());
    gpu_.unmap(range_);
    gpu_.map_and_allow(range_, frames_[next]);
    gpu_.wait(gpu_.first());
    gpu_.expect(kValues[now]);
  }

 private:
  static constexpr unsigned kValues[2] = {0x11111111, 0x22222222};

  const Gpu& gpu_;
  const CUdeviceptr range_;
  const CUmemGenericAllocationHandle frames_[2] = {gpu_.create_frame(kValues[0]),
                                                   gpu_.create_frame(kValues[1])};
};

}  // namespace

std::unique_ptr<Race> make_remap_under_kernel(const Gpu& gpu) {
  return std::make_unique<RemapUnderKernel>(gpu);
}

}  // namespace races
