// cuStreamWaitEvent makes a stream wait, not the host: the range is still in use when it returns.
#include "race.h"

namespace races {
namespace {

class UnmapAfterStreamWait final : public Race {
 public:
  explicit UnmapAfterStreamWait(const Gpu& gpu) : gpu_(gpu), range_(gpu.reserve()) {
    RACES_CHECK(cuEventCreate(&read_, CU_EVENT_DISABLE_TIMING));
  }

  void round(unsigned, Variant variant) override {
    gpu_.map_and_allow(range_, frame_);
    gpu_.read(gpu_.first(), range_);
    RACES_CHECK(cuEventRecord(read_, gpu_.first()));
    RACES_CHECK(cuStreamWaitEvent(gpu_.second(), read_, 0));
    if (variant == Variant::right) gpu_.wait(gpu_.second());
    gpu_.unmap(range_);
    gpu_.wait(gpu_.first());
    gpu_.expect(kValue);
  }

 private:
  static constexpr unsigned kValue = 0x33333333;

  const Gpu& gpu_;
  const CUdeviceptr range_;
  const CUmemGenericAllocationHandle frame_ = gpu_.create_frame(kValue);
  CUevent read_ = nullptr;
};

}  // namespace

std::unique_ptr<Race> make_unmap_after_stream_wait(const Gpu& gpu) {
  return std::make_unique<UnmapAfterStreamWait>(gpu);
}

}  // namespace races
