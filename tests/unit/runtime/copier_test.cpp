// How long copies are waited for.
#include "runtime/copier.h"

#include <thread>

#include "test_gpu.h"

namespace vhbm {
namespace {

using namespace std::chrono_literals;

class Copying : public PagerTest {
 protected:
  Copying() : copier_(driver_) { EXPECT_EQ(copier_.prepare(context_), CUDA_SUCCESS); }

  Copier copier_;
};

TEST_F(Copying, WhatHangsIsGivenUp) {
  const Blockade blockade(copier_.stream());
  EXPECT_EQ(copier_.wait(50ms), CUDA_ERROR_NOT_READY);
}

// As after SIGSTOP: it goes on when the patience is over, and the copies only begin to.
TEST_F(Copying, TheTimeInWhichTheProcessWasStoppedDoesNotCount) {
  Blockade blockade(copier_.stream());
  bool stopped = false;
  const auto meanwhile = [&] {
    if (std::exchange(stopped, true)) {
      blockade.release();
    } else {
      std::this_thread::sleep_for(1500ms);
    }
    return false;
  };
  EXPECT_EQ(copier_.wait(1s, meanwhile), CUDA_SUCCESS);
}

}  // namespace
}  // namespace vhbm
