// An address that is freed may be handed out again at once. A kernel that still writes through the
// old pointer writes into what is there now.
#include "race.h"

namespace races {
namespace {

class ReuseOfFreedRange final : public Race {
 public:
  explicit ReuseOfFreedRange(const Gpu& gpu) : gpu_(gpu), range_(gpu.reserve()) {}

  void round(unsigned number, Variant variant) override {
    const unsigned value = 0x80000000 + number;
    gpu_.map_and_allow(range_, old_frame_);
    gpu_.write(gpu_.first(), range_, ~value);
    if (variant == Variant::right) gpu_.wait(gpu_.first());
    gpu_.unmap(range_);
    gpu_.free_range(range_);

    const CUdeviceptr range = gpu_.reserve(range_);
    if (range != range_) throw Unusable("the freed range was not handed out again");
    gpu_.map_and_allow(range, new_frame_);
    gpu_.write(gpu_.second(), range, value);
    gpu_.wait(gpu_.second());
    gpu_.wait(gpu_.first());
    gpu_.read(gpu_.second(), range);
    gpu_.wait(gpu_.second());
    gpu_.expect(value);
    gpu_.unmap(range);
  }

 private:
  const Gpu& gpu_;
  const CUdeviceptr range_;
  const CUmemGenericAllocationHandle old_frame_ = gpu_.create_frame(),
                                     new_frame_ = gpu_.create_frame();
};

}  // namespace

std::unique_ptr<Race> make_reuse_of_freed_range(const Gpu& gpu) {
  return std::make_unique<ReuseOfFreedRange>(gpu);
}

}  // namespace races
