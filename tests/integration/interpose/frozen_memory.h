// Memory whose chunks lie in HBM and in host memory by turns and stay there, so that a test knows
// what each call must be seen to read in place. Made once a process: what froze never moves again.
#pragma once

#include "gpu_test.h"

inline constexpr std::size_t chunk = 2 * mebibyte;

class FrozenMemory : public GpuTest {
 protected:
  static constexpr std::size_t chunks = 28;

  FrozenMemory();

  // The region of `chunks` chunks; how they lie tells in_host().
  [[nodiscard]] CUdeviceptr region() const;
  [[nodiscard]] bool in_host(std::size_t index) const;
  // What a copy of this range is counted to read in place: the part of it in host memory at most.
  [[nodiscard]] std::uint64_t in_place(CUdeviceptr address, std::size_t length) const;
  // How much more was counted while `work` ran, and what it submitted.
  template <typename Work>
  std::uint64_t counted(Work&& work) {
    const std::uint64_t before = stat("named_in_place_bytes");
    work();
    EXPECT_CUDA(cuCtxSynchronize());
    return stat("named_in_place_bytes") - before;
  }

 private:
  void make();
};
