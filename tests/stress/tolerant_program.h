// An ordinary CUDA program with more memory than HBM, which goes on where a driver call fails. It
// uses none of the driver functions that vHBM itself calls, as far as there are others, so that a
// plan which names one of those strikes vHBM. What must not happen is thrown as Harm.
#pragma once

#include <cuda.h>
#include <dlfcn.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "harm.h"
#include "simgpu/control.h"

namespace stress {

constexpr std::size_t mebibyte = 1 << 20;

template <typename Function>
Function* simulator(const char* name) {
  auto* found = reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
  if (found == nullptr) throw Harm(std::string("this driver has no ") + name);
  return found;
}
#define SIMULATOR(function) simulator<decltype(function)>(#function)

// The calls of the simulated driver that fail.
class Plan {
 public:
  void set(const std::string& text) {
    if (SIMULATOR(simgpu_set_faults)(text.c_str()) != 1) throw Harm("not a plan: " + text);
    armed_ = !text.empty();
  }
  [[nodiscard]] bool armed() const { return armed_; }
  // How many have failed since set().
  [[nodiscard]] static unsigned long long count() { return SIMULATOR(simgpu_faults_struck)(); }
  [[nodiscard]] bool struck() const { return count() != 0; }

 private:
  bool armed_ = false;
};

// One life of the device's primary context.
class TolerantProgram {
 public:
  static constexpr std::size_t piece = 4 * mebibyte;  // of each buffer

  explicit TolerantProgram(Plan& plan);

  // Pages, and does now and then what makes vHBM call the driver, until a fault has struck or there
  // is nothing left to wait for.
  void work();
  // Only pages: what vHBM asks of the driver meanwhile, it asks for flips.
  void page();
  // Reads one buffer after the other until the condition holds. False after five seconds.
  template <typename Condition>
  [[nodiscard]] bool read_until(Condition&& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    for (std::size_t round = 0; !condition(); ++round) {
      if (std::chrono::steady_clock::now() >= end) return false;
      read(buffers_[round / 10 % buffers_.size()]);
    }
    return true;
  }
  // Uses one buffer after the other, a call of this each, whatever the driver answers.
  void go_on_regardless();
  void make_current() { STRESS_CHECK(cuCtxSetCurrent(context_)); }
  // The bytes of all buffers are what they ought to be, and this thread's context is the program's.
  void check_all();
  // An allocation, kernels and copies, none of which may fail.
  void use_once_more();
  // Half is freed; the rest goes with the context.
  void end();
  // After an error that stays: nothing works in this context any more.
  void give_up();

  // False, without an error of another kind, when there is no memory.
  [[nodiscard]] bool try_to_add_buffer();
  [[nodiscard]] std::size_t buffers() const { return buffers_.size(); }
  void free_all();

 private:
  struct Buffer {
    CUdeviceptr address = 0;
    std::uint32_t seed = 0, added = 0;
  };

  // A call may be answered with an error while calls fail; it then has had no effect, and works
  // when the faults are over.
  template <typename Call>
  void tolerant(const char* name, Call&& call) {
    const CUresult first = call();
    if (first == CUDA_SUCCESS) return;
    if (!plan_.armed() || !plan_.struck()) check(first, name);
    if (call() == CUDA_SUCCESS) return;
    plan_.set("");
    check(call(), name);
  }
  void add_buffer();
  void free(CUdeviceptr address);
  void launch(CUkernel kernel, void** parameters);
  void fill(Buffer& buffer);
  void add(Buffer& buffer);
  void use(Buffer& buffer);
  // One word of each chunk.
  void read(const Buffer& buffer);
  void wait();
  void check_bytes(const Buffer& buffer);
  // What makes vHBM call the driver: a stream ends with work in it; another context comes and goes
  // with its memory; native memory needs what pooled HBM frames hold.
  void end_a_stream();
  [[nodiscard]] CUcontext make_context();
  void use_another_context();
  void use_native_memory();

  Plan& plan_;
  CUdevice device_ = 0;
  CUcontext context_ = nullptr, idle_ = nullptr;
  CUlibrary library_ = nullptr;
  CUkernel fill_ = nullptr, add_ = nullptr;
  CUstream stream_ = nullptr;
  std::vector<Buffer> buffers_;
  std::uint32_t next_seed_ = 1;
  std::size_t regardless_ = 0;  // calls of go_on_regardless()
};

}  // namespace stress
