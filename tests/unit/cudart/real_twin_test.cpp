// The kernels of the samples are also built for real GPUs, from the same source.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>

#include "vector_math.h"

namespace {

// A fat binary, as nvcc writes it: a header, then entries with a header each. Only what is read
// here.
struct FatBinaryHeader {
  std::uint32_t magic;
  std::uint16_t version, header_bytes;
  std::uint64_t bytes;
};
struct FatBinaryEntry {
  std::uint16_t kind, version;
  std::uint32_t header_bytes;
  std::uint64_t bytes;
  std::uint32_t unread[3], architecture;
};
constexpr std::uint32_t kMagic = 0xba55ed50;
constexpr std::uint16_t kMachineCode = 2;

bool has_machine_code_for(const gpu_image::Image& image, unsigned architecture) {
  const char* at = static_cast<const char*>(image.data);
  FatBinaryHeader header;
  std::memcpy(&header, at, sizeof header);
  if (header.magic != kMagic || header.bytes + header.header_bytes > image.size) return false;
  const char* const end = at + header.header_bytes + header.bytes;
  for (at += header.header_bytes; at < end;) {
    FatBinaryEntry entry;
    std::memcpy(&entry, at, sizeof entry);
    if (entry.kind == kMachineCode && entry.architecture == architecture) return true;
    at += entry.header_bytes + entry.bytes;
  }
  return false;
}

TEST(VectorMath, HoldsMachineCodeForTheRealGpuThatWasAskedFor) {
  const auto images = vector_math_images();
  ASSERT_EQ(images.size(), 2u);
  EXPECT_STREQ(images[0].kind, "sm_" VHBM_NVCC_ARCH " fatbin");
  EXPECT_TRUE(has_machine_code_for(images[0], std::stoul(VHBM_NVCC_ARCH)));
  EXPECT_STREQ(images[1].kind, "simulated GPU");
}

}  // namespace
