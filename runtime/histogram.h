// How durations are distributed, to about a tenth: eight buckets for each doubling. Locking: one
// writer at a time.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace vhbm {

class Histogram {
 public:
  void add(std::uint64_t value) {
    ++buckets_[bucket_of(value)];
    ++count_;
    largest_ = std::max(largest_, value);
  }
  [[nodiscard]] std::uint64_t count() const { return count_; }
  // At least `percent` of the values are not above this; 0 without any.
  [[nodiscard]] std::uint64_t percentile(unsigned percent) const {
    const std::uint64_t wanted = (count_ * percent + 99) / 100;
    std::uint64_t seen = 0;
    for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
      seen += buckets_[bucket];
      if (seen >= wanted && seen != 0) return std::min(last_of(bucket), largest_);
    }
    return 0;
  }

 private:
  static constexpr unsigned steps = 3;  // bits: buckets of a doubling
  static constexpr std::size_t bucket_of(std::uint64_t value) {
    const auto width = static_cast<unsigned>(std::bit_width(value));
    if (width <= steps + 1) return value;
    const unsigned shift = width - steps - 1;
    return (std::size_t{shift} << steps) + (value >> shift);
  }
  // The largest value of a bucket.
  static constexpr std::uint64_t last_of(std::size_t bucket) {
    if (bucket < (std::size_t{2} << steps)) return bucket;
    const std::size_t shift = (bucket >> steps) - 1;
    const std::uint64_t first = (bucket & ((1u << steps) - 1)) | (1u << steps);
    return ((first + 1) << shift) - 1;
  }

  std::array<std::uint64_t, (64 - steps + 1) << steps> buckets_{};
  std::uint64_t count_ = 0, largest_ = 0;
};

}  // namespace vhbm
