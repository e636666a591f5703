// The launch gate under threads.
#include "runtime/gate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace vhbm {
namespace {

using namespace std::chrono_literals;

Gate::Clock::time_point in(std::chrono::milliseconds time) {
  return Gate::Clock::now() + time;
}

TEST(Gate, LetsThreadsThroughWhileItIsOpen) {
  Gate gate;
  { const auto pass = gate.pass(); }
  std::thread([&] { const auto pass = gate.pass(); }).join();
  EXPECT_EQ(gate.waits(), 0u);
}

TEST(Gate, ClosesAtOnceWhenNobodyIsInside) {
  Gate gate;
  { const auto pass = gate.pass(); }
  EXPECT_TRUE(gate.close(in(0ms)));
  gate.open();
}

TEST(Gate, HoldsSubmittersBackUntilItOpens) {
  Gate gate;
  ASSERT_TRUE(gate.close(in(1000ms)));
  std::atomic<bool> through{false};
  std::thread submitter([&] {
    const auto pass = gate.pass();
    through = true;
  });
  while (gate.waiting() == 0) std::this_thread::yield();
  std::this_thread::sleep_for(30ms);
  EXPECT_FALSE(through);
  gate.open();
  submitter.join();
  EXPECT_TRUE(through);
  EXPECT_EQ(gate.waits(), 1u);
  EXPECT_GE(gate.waited(), 20ms);
}

TEST(Gate, GivesUpAndReopensWhenAThreadStaysInside) {
  Gate gate;
  std::atomic<bool> inside{false}, leave{false};
  std::thread submitter([&] {
    const auto pass = gate.pass();
    inside = true;
    while (!leave) std::this_thread::yield();
  });
  while (!inside) std::this_thread::yield();
  EXPECT_FALSE(gate.close(in(10ms)));
  std::thread([&] { const auto pass = gate.pass(); }).join();
  leave = true;
  submitter.join();
  EXPECT_TRUE(gate.close(in(1000ms)));
  gate.open();
}

TEST(Gate, LetsAThreadThatIsInsidePassAgainEvenWhileClosing) {
  Gate gate;
  std::atomic<bool> inside{false}, closing{false};
  std::thread submitter([&] {
    const auto outer = gate.pass();
    inside = true;
    while (!closing) std::this_thread::yield();
    std::this_thread::sleep_for(20ms);
    const auto inner = gate.pass();
    const auto innermost = gate.pass();
  });
  while (!inside) std::this_thread::yield();
  closing = true;
  EXPECT_TRUE(gate.close(in(5000ms)));
  gate.open();
  submitter.join();
  EXPECT_EQ(gate.waits(), 0u);
}

TEST(Gate, KeepsTwoGatesApartInOneThread) {
  Gate first, second;
  const auto pass = first.pass();
  EXPECT_TRUE(second.close(in(1000ms)));
  EXPECT_FALSE(first.close(in(1ms)));
  second.open();
  const auto other = second.pass();
  const auto again = first.pass();
  EXPECT_FALSE(second.close(in(1ms)));
}

TEST(Gate, OutlivesThreadsAndThreadsOutliveGates) {
  for (int round = 0; round < 50; ++round) {
    auto gate = std::make_unique<Gate>();
    std::atomic<int> passed{0};
    std::atomic<bool> leave{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        { const auto pass = gate->pass(); }
        ++passed;
        while (!leave) std::this_thread::yield();
      });
    }
    while (passed != 4) std::this_thread::yield();
    EXPECT_TRUE(gate->close(in(1000ms)));
    gate->open();
    gate.reset();
    leave = true;
    for (auto& thread : threads) thread.join();
  }
}

TEST(Gate, ReusesThePlacesOfThreadsThatEnded) {
  Gate gate;
  for (int i = 0; i < 500; ++i) std::thread([&] { const auto pass = gate.pass(); }).join();
  EXPECT_TRUE(gate.close(in(1000ms)));
  gate.open();
}

TEST(Gate, CountsLaunchesAlsoOfThreadsThatEnded) {
  Gate gate, other;
  for (int round = 0; round < 3; ++round) {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < 1000; ++n) {
          const auto pass = gate.pass();
          gate.count_launch();
          if (n % 2 == 0) other.count_launch();
        }
      });
    }
  }
  EXPECT_EQ(gate.launches(), 24000u);
  EXPECT_EQ(other.launches(), 12000u);
}

// `guarded` is an ordinary variable: whoever is inside may read it, only the closer may write it. A
// thread sanitizer sees any overlap, and so does the check for a torn pair.
TEST(Gate, NeverLetsACloserAndASubmitterBeInsideTogether) {
  Gate gate;
  struct {
    std::uint64_t a = 0, b = 0;
  } guarded;
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> torn{0}, passes{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      while (!stop) {
        const auto pass = gate.pass();
        const auto nested = gate.pass();
        if (guarded.a != guarded.b) ++torn;
        ++passes;
        if (i == 0) std::this_thread::yield();
      }
    });
  }
  std::uint64_t closed = 0;
  const auto end = in(500ms);
  while (Gate::Clock::now() < end) {
    if (gate.close(in(20ms))) {
      ++guarded.a;
      std::this_thread::yield();
      ++guarded.b;
      ++closed;
      gate.open();
    }
    std::this_thread::sleep_for(200us);
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(torn, 0u);
  EXPECT_GT(closed, 0u);
  EXPECT_GT(passes, 0u);
}

// A program's own thread_local that submits work when its thread ends.
struct SubmitsAtThreadExit {
  Gate* gate = nullptr;
  ~SubmitsAtThreadExit() {
    if (gate != nullptr) const auto pass = gate->pass();
  }
};
thread_local SubmitsAtThreadExit submits_at_exit;

TEST(Gate, CanBePassedWhileAThreadEnds) {
  Gate gate;
  std::thread([&] {
    submits_at_exit.gate = &gate;
    const auto pass = gate.pass();
  }).join();
  EXPECT_TRUE(gate.close(in(1000ms)));
  gate.open();
}

}  // namespace
}  // namespace vhbm
