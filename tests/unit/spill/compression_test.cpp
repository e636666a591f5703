#include "runtime/spill/compression.h"

#include "tests/unit/spill/blocks.h"

namespace vhbm {
namespace {

class Compression : public testing::TestWithParam<CompressionChoice> {};

TEST_P(Compression, UnpacksWhatItPacked) {
  Packer packer(GetParam());
  const ByteVector plain = smooth_bytes(mib(1), 3);
  ByteVector packed(plain.size()), back(plain.size());
  const std::size_t size = packer.pack(plain, packed);
  ASSERT_GT(size, 0u);
  EXPECT_LT(size, plain.size() / 10);
  const auto given = std::span(packed).first(size);
  ASSERT_TRUE(packer.unpack(GetParam().codec, given, back).ok());
  EXPECT_EQ(back, plain);
}

TEST_P(Compression, LeavesPlainWhatDoesNotGetSmaller) {
  Packer packer(GetParam());
  const ByteVector plain = random_bytes(kib(256), 1);
  ByteVector packed(plain.size());
  EXPECT_EQ(packer.pack(plain, packed), 0u);
}

TEST_P(Compression, RefusesWhatWasCutOrDoesNotFit) {
  Packer packer(GetParam());
  const ByteVector plain = smooth_bytes(mib(1), 3);
  ByteVector packed(plain.size()), back(plain.size()), shorter(plain.size() - 1);
  const std::size_t size = packer.pack(plain, packed);
  ASSERT_GT(size, 1u);
  EXPECT_EQ(packer.unpack(GetParam().codec, std::span(packed).first(size - 1), back).code(),
            Errc::bytes_corrupted);
  EXPECT_EQ(packer.unpack(GetParam().codec, std::span(packed).first(size), shorter).code(),
            Errc::bytes_corrupted);
}

INSTANTIATE_TEST_SUITE_P(Each, Compression,
                         testing::Values(CompressionChoice{Codec::lz4, 0},
                                         CompressionChoice{Codec::zstd, 1},
                                         CompressionChoice{Codec::zstd, 9}));

}  // namespace
}  // namespace vhbm
