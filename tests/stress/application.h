// One thread's application: it keeps as much memory as its share, does operations of every kind on
// it in random order, and compares what it reads with the shadow that it keeps of each buffer.
// The same seed gives the same operations. Locking: none; one thread's own, except for progress.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <random>

#include "gpu.h"

namespace stress {

// What is watched from outside.
struct Progress {
  std::array<std::atomic<std::uint64_t>, operation_count> done{};
  std::atomic<std::uint64_t> checked_bytes{0};
  std::atomic<Operation> now{Operation::allocate};
};

class Application {
 public:
  using Weights = std::vector<unsigned>;  // one an operation

  Application(std::uint64_t seed, bool own_context, std::size_t memory, const Weights& weights,
              Progress& progress);

  // Works until `end` or until `stop`, then compares everything. Throws Harm.
  void run(std::chrono::steady_clock::time_point end, const std::atomic<bool>& stop);

 private:
  struct Range {
    std::size_t first, count;
  };
  struct Recording {
    CUgraphExec executable = nullptr;
    std::vector<Edit> edits;
    Gpu::Built built;  // empty when it was captured
  };

  void act();
  void act(Operation operation);
  void allocate();
  void release();
  void edit(Operation kind);
  void record();
  void replay();
  void change_node();
  void renew_context();
  void check_copy(const Buffer& buffer, Range range);
  void check_sum(const Buffer& buffer, Range range);
  void check_everything();
  // On the stream, after all that it depends on, and before all that comes later.
  void submit_in_order(const std::vector<Edit>& edits, unsigned stream, CUgraphExec executable);

  [[nodiscard]] Edit choose_edit(Operation kind);
  [[nodiscard]] Range choose_range(const Buffer& buffer, std::size_t most);
  [[nodiscard]] Buffer& choose_buffer() { return *buffers_[below(buffers_.size())]; }
  [[nodiscard]] std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  static void destroy(const Recording& recording);
  void destroy_recordings_of(const Buffer* buffer);
  [[noreturn]] void report(const Buffer& buffer, const std::string& what) const;

  std::mt19937_64 random_;
  std::discrete_distribution<unsigned> next_;
  const bool own_context_;
  const std::size_t memory_;
  Progress& progress_;
  std::unique_ptr<Gpu> gpu_;
  std::vector<std::unique_ptr<Buffer>> buffers_;
  std::vector<Recording> recordings_;
  std::size_t used_ = 0;
  Operation last_ = Operation::allocate;
};

}  // namespace stress
