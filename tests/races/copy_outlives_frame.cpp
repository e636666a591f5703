// An asynchronous copy reads its source when the copy engine comes to it. A frame that is unmapped,
// released and recycled before then gives other bytes, or none.
#include "race.h"

namespace races {
namespace {

class CopyOutlivesFrame final : public Race {
 public:
  explicit CopyOutlivesFrame(const Gpu& gpu) : gpu_(gpu), range_(gpu.reserve()) {}

  void round(unsigned number, Variant variant) override {
    const unsigned value = 0x50000000 + number;
    CUmemGenericAllocationHandle frame = gpu_.create_frame();
    gpu_.map_and_allow(range_, frame);
    gpu_.write(gpu_.first(), range_, value);
    gpu_.wait(gpu_.first());

    copy_words();
    if (variant == Variant::right) gpu_.wait(gpu_.first());
    gpu_.unmap(range_);
    gpu_.release(frame);

    frame = gpu_.create_frame();  // of the same pages
    gpu_.map_and_allow(range_, frame);
    gpu_.write(gpu_.second(), range_, ~value);
    gpu_.wait(gpu_.first());
    gpu_.expect(value);
    gpu_.wait(gpu_.second());
    gpu_.unmap(range_);
    gpu_.release(frame);
  }

 private:
  // The words that write() wrote, to host memory.
  void copy_words() const {
    CUDA_MEMCPY2D copy{};
    copy.srcMemoryType = CU_MEMORYTYPE_DEVICE;
    copy.srcDevice = range_;
    copy.srcPitch = gpu_.page() / Gpu::words;
    copy.dstMemoryType = CU_MEMORYTYPE_HOST;
    copy.dstHost = gpu_.host_words();
    copy.dstPitch = copy.WidthInBytes = sizeof(unsigned);
    copy.Height = Gpu::words;
    RACES_CHECK(cuMemcpy2DAsync(&copy, gpu_.first()));
  }

  const Gpu& gpu_;
  const CUdeviceptr range_;
};

}  // namespace

std::unique_ptr<Race> make_copy_outlives_frame(const Gpu& gpu) {
  return std::make_unique<CopyOutlivesFrame>(gpu);
}

}  // namespace races
