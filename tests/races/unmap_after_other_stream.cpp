// Waiting for one stream says nothing of another, even if its work was submitted earlier.
#include "race.h"

namespace races {
namespace {

class UnmapAfterOtherStream final : public Race {
 public:
  explicit UnmapAfterOtherStream(const Gpu& gpu) : gpu_(gpu), range_(gpu.reserve()) {
    gpu_.map_and_allow(other_range_, gpu_.create_frame());
  }

  void round(unsigned number, Variant variant) override {
    gpu_.map_and_allow(range_, frame_);
    gpu_.read(gpu_.first(), range_);
    gpu_.write(gpu_.second(), other_range_, number);
    gpu_.wait(variant == Variant::right ? gpu_.first() : gpu_.second());
    gpu_.unmap(range_);
    gpu_.wait(gpu_.first());
    gpu_.expect(kValue);
  }

 private:
  static constexpr unsigned kValue = 0x44444444;

  const Gpu& gpu_;
  const CUdeviceptr range_, other_range_ = gpu_.reserve();
  const CUmemGenericAllocationHandle frame_ = gpu_.create_frame(kValue);
};

}  // namespace

std::unique_ptr<Race> make_unmap_after_other_stream(const Gpu& gpu) {
  return std::make_unique<UnmapAfterOtherStream>(gpu);
}

}  // namespace races
