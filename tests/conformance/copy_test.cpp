// Copies and memory sets.
#include <algorithm>
#include <numeric>

#include "on_device.h"

using namespace conformance;

namespace {

class Copy : public OnDevice {
 protected:
  static Words counting(std::size_t count, unsigned first = 0) {
    Words words(count);
    std::iota(words.begin(), words.end(), first);
    return words;
  }
  static constexpr std::size_t kCount = 100'000;
  static constexpr std::size_t kBytes = kCount * sizeof(unsigned);
};

TEST_F(Copy, ThereAndBackKeepsEveryByte) {
  const Words words = counting(kCount);
  const CUdeviceptr memory = allocate(kBytes);
  OK(cuMemcpyHtoD(memory, words.data(), kBytes));
  EXPECT_EQ(read(memory, kCount), words);
}

TEST_F(Copy, BetweenDeviceBuffersKeepsEveryByte) {
  const Words words = counting(kCount, 7);
  const CUdeviceptr from = allocate(kBytes), to = allocate(kBytes);
  OK(cuMemcpyHtoD(from, words.data(), kBytes));
  OK(cuMemcpyDtoD(to, from, kBytes));
  EXPECT_EQ(read(to, kCount), words);
}

TEST_F(Copy, TheGenericFormFindsOutWhatItsPointersAre) {
  // cuda.h, cuMemcpy: "this function infers the type of the transfer"
  const Words words = counting(kCount, 9);
  Words back(kCount);
  const CUdeviceptr memory = allocate(kBytes);
  OK(cuMemcpy(memory, reinterpret_cast<CUdeviceptr>(words.data()), kBytes));
  OK(cuMemcpy(reinterpret_cast<CUdeviceptr>(back.data()), memory, kBytes));
  EXPECT_EQ(back, words);
}

TEST_F(Copy, OfNothingSucceeds) {
  const CUdeviceptr memory = allocate(64);
  char byte = 0;
  EXPECT_EQ(cuMemcpyHtoD(memory, &byte, 0), CUDA_SUCCESS);
}

TEST_F(Copy, BeyondAnAllocationIsInvalid) {
  const CUdeviceptr memory = allocate(2 * kMiB);
  std::vector<char> bytes(64 * kMiB);
  EXPECT_EQ(cuMemcpyHtoD(memory, bytes.data(), bytes.size()), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Copy, APageableSourceMayBeReusedWhenTheAsynchronousCallReturns) {
  // CUDA Driver API, "API synchronization behavior": "the host memory is first staged … the call
  // will return once the pageable buffer has been copied to the staging memory"
  const Words words = counting(kCount, 3);
  const CUdeviceptr memory = allocate(kBytes);
  CUstream stream = make_stream();
  {
    Blocker blocker(kernel("wait_for_flag"), stream);
    Words source(words.begin(), words.begin() + 1024);
    OK(blocker.launched());
    blocker.release();
    OK(cuMemcpyHtoDAsync(memory, source.data(), 4096, stream));
    std::fill(source.begin(), source.end(), 0xdeadu);
  }
  EXPECT_EQ(read(memory, 1024), Words(words.begin(), words.begin() + 1024));
}

TEST_F(Copy, PageLockedCopiesRunInStreamOrder) {
  void* host = nullptr;
  OK(cuMemHostAlloc(&host, kBytes, 0));
  auto* words = static_cast<unsigned*>(host);
  std::fill_n(words, kCount, 1u);
  const CUdeviceptr memory = allocate(kBytes);
  CUstream stream = make_stream();
  OK(cuMemcpyHtoDAsync(memory, host, kBytes, stream));
  OK(launch(kernel("add_one"), kCount, stream, memory, static_cast<unsigned>(kCount)));
  OK(cuMemcpyDtoHAsync(host, memory, kBytes, stream));
  OK(cuStreamSynchronize(stream));
  EXPECT_EQ(std::count(words, words + kCount, 2u), static_cast<long>(kCount));
  OK(cuMemFreeHost(host));
}

TEST_F(Copy, ToPageableMemoryIsDoneWhenTheAsynchronousCallReturns) {
  // CUDA Driver API, "API synchronization behavior": "For transfers from device memory to pageable
  // host memory, the function will return only once the copy has completed."
  const CUdeviceptr memory = allocate(kBytes);
  CUstream stream = make_stream();
  OK(launch(kernel("fill"), kCount, stream, memory, 6u, static_cast<unsigned>(kCount)));
  Words back(kCount);
  OK(cuMemcpyDtoHAsync(back.data(), memory, kBytes, stream));
  EXPECT_EQ(std::count(back.begin(), back.end(), 6u), static_cast<long>(kCount));
}

TEST_F(Copy, RowsOf2DGoWhereTheirPitchesSay) {
  const CUdeviceptr memory = allocate(64 * 16);
  OK(cuMemsetD8(memory, 0, 64 * 16));
  const Words words = counting(32, 100);  // 8 rows of 4
  CUDA_MEMCPY2D copy{};
  copy.srcMemoryType = CU_MEMORYTYPE_HOST;
  copy.srcHost = words.data();
  copy.srcPitch = 16;
  copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.dstDevice = memory;
  copy.dstPitch = 64;
  copy.dstXInBytes = 8;
  copy.dstY = 2;
  copy.WidthInBytes = 16;
  copy.Height = 8;
  OK(cuMemcpy2D(&copy));
  const Words back = read(memory, 256);
  for (unsigned row = 0; row < 8; ++row) {
    for (unsigned column = 0; column < 4; ++column) {
      EXPECT_EQ(back[(row + 2) * 16 + 2 + column], 100 + row * 4 + column);
    }
  }
  EXPECT_EQ(back[0], 0u);
}

TEST_F(Copy, A2DPitchBelowTheWidthIsInvalid) {
  const CUdeviceptr memory = allocate(4096);
  const Words words = counting(64);
  CUDA_MEMCPY2D copy{};
  copy.srcMemoryType = CU_MEMORYTYPE_HOST;
  copy.srcHost = words.data();
  copy.srcPitch = 8;
  copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.dstDevice = memory;
  copy.dstPitch = 64;
  copy.WidthInBytes = 16;
  copy.Height = 2;
  EXPECT_EQ(cuMemcpy2D(&copy), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Copy, SlicesOf3DGoWhereTheirHeightsSay) {
  const CUdeviceptr memory = allocate(16 * 4 * 3);
  OK(cuMemsetD8(memory, 0, 16 * 4 * 3));
  const Words words = counting(16, 1);  // 2 slices of 2 rows of 4
  CUDA_MEMCPY3D copy{};
  copy.srcMemoryType = CU_MEMORYTYPE_HOST;
  copy.srcHost = words.data();
  copy.srcPitch = 16;
  copy.srcHeight = 2;
  copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.dstDevice = memory;
  copy.dstPitch = 16;
  copy.dstHeight = 4;
  copy.dstZ = 1;
  copy.WidthInBytes = 16;
  copy.Height = 2;
  copy.Depth = 2;
  OK(cuMemcpy3D(&copy));
  const Words back = read(memory, 48);
  EXPECT_EQ(back[16], 1u);
  EXPECT_EQ(back[32], 9u);
  EXPECT_EQ(back[24], 0u);
}

TEST_F(Copy, SetsOfEachElementSize) {
  const CUdeviceptr memory = allocate(1024);
  OK(cuMemsetD8(memory, 0xab, 1024));
  EXPECT_EQ(read(memory, 256), Words(256, 0xababababu));
  OK(cuMemsetD16(memory, 0x1234, 512));
  EXPECT_EQ(read(memory, 256), Words(256, 0x12341234u));
  OK(cuMemsetD32(memory, 0xcafef00du, 256));
  EXPECT_EQ(read(memory, 256), Words(256, 0xcafef00du));
}

TEST_F(Copy, ASetOfWordsWantsAnAlignedAddress) {
  // cuda.h, cuMemsetD32: "The dstDevice pointer must be four byte aligned."
  const CUdeviceptr memory = allocate(1024);
  EXPECT_EQ(cuMemsetD32(memory + 2, 1, 4), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Copy, A2DSetLeavesTheRestOfItsRows) {
  const CUdeviceptr memory = allocate(64 * 4);
  OK(cuMemsetD8(memory, 0, 64 * 4));
  OK(cuMemsetD2D32(memory, 64, 9, 4, 4));
  const Words back = read(memory, 64);
  EXPECT_EQ(back[0], 9u);
  EXPECT_EQ(back[3], 9u);
  EXPECT_EQ(back[4], 0u);
  EXPECT_EQ(back[16], 9u);
}

TEST_F(Copy, AsynchronousSetsRunInStreamOrder) {
  const CUdeviceptr memory = allocate(kBytes);
  CUstream stream = make_stream();
  OK(cuMemsetD32Async(memory, 5, kCount, stream));
  OK(launch(kernel("add_one"), kCount, stream, memory, static_cast<unsigned>(kCount)));
  EXPECT_EQ(read(memory, kCount), Words(kCount, 6u));
}

TEST_F(Copy, OverlappingStreamsEachKeepTheirOwnBytes) {
  const CUdeviceptr one = allocate(kBytes), two = allocate(kBytes);
  CUstream first = make_stream(), second = make_stream();
  OK(cuMemsetD32Async(one, 1, kCount, first));
  OK(cuMemsetD32Async(two, 2, kCount, second));
  EXPECT_EQ(read(one, kCount), Words(kCount, 1u));
  EXPECT_EQ(read(two, kCount), Words(kCount, 2u));
}

}  // namespace
