// Access belongs to a mapping, not to its range: a new mapping starts with none.
#include "race.h"

namespace races {
namespace {

class MissingAccess final : public Race {
 public:
  explicit MissingAccess(const Gpu& gpu) : gpu_(gpu), range_(gpu.reserve()) {
    gpu_.map_and_allow(range_, frames_[1]);
  }

  void round(unsigned number, Variant variant) override {
    const unsigned now = number % 2;
    gpu_.unmap(range_);
    gpu_.map(range_, frames_[now]);
    if (variant == Variant::right) gpu_.allow(range_);
    gpu_.read(gpu_.first(), range_);
    gpu_.wait(gpu_.first());
    gpu_.expect(kValues[now]);
  }

 private:
  static constexpr unsigned kValues[2] = {0x66666666, 0x77777777};

  const Gpu& gpu_;
  const CUdeviceptr range_;
  const CUmemGenericAllocationHandle frames_[2] = {gpu_.create_frame(kValues[0]),
                                                   gpu_.create_frame(kValues[1])};
};

}  // namespace

std::unique_ptr<Race> make_missing_access(const Gpu& gpu) {
  return std::make_unique<MissingAccess>(gpu);
}

}  // namespace races
