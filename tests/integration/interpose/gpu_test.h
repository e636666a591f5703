// What the tests of memory share: an ordinary CUDA program's context, kernels and checks. These
// tests know of vHBM only the limits that they are started with.
#pragma once

#include <cuda.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#define ASSERT_CUDA(call) ASSERT_EQ(call, CUDA_SUCCESS) << #call
#define EXPECT_CUDA(call) EXPECT_EQ(call, CUDA_SUCCESS) << #call

inline constexpr std::size_t mebibyte = 1 << 20;

struct Span {
  std::uint64_t count;
  CUdeviceptr words;
};

// As set in this folder's CMakeLists.txt.
inline constexpr std::size_t hbm_limit = 32 * mebibyte;
inline constexpr std::size_t host_limit = 160 * mebibyte;

class GpuTest : public ::testing::Test {
 protected:
  explicit GpuTest(CUdevice device = 0);
  ~GpuTest() override;

  // Asynchronously, on `stream_`.
  void fill(CUdeviceptr words, std::size_t bytes, std::uint32_t seed);
  void add(CUdeviceptr words, std::size_t bytes, std::uint32_t value);
  // Waits, and compares every word with what fill() and then add() leave.
  ::testing::AssertionResult holds(CUdeviceptr words, std::size_t bytes, std::uint32_t seed,
                                   std::uint32_t added = 0);

  // A statistic of this process on a device, as `vhbm stat` sees it.
  static std::uint64_t stat(const std::string& name, CUdevice device = 0);

  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
  CUstream stream_ = nullptr;
  CUmodule module_ = nullptr;
  CUfunction fill_ = nullptr, add_ = nullptr;
};
