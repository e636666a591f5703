// faulted_program start | run FUNCTION | lost PIECES | exhausted: an ordinary CUDA program with
// four times as much memory as HBM, on a simulated driver whose calls fail. It uses none of the
// driver functions that vHBM itself calls, as far as there are others, so that a plan which names
// one of those strikes vHBM. Exit code 0: all bytes were right or an error was answered, nothing
// was left behind and what came next worked. 1: not so; standard output says what. Prints how many
// calls failed, as "struck N".
#include <cuda.h>
#include <dlfcn.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "harm.h"
#include "runtime/stats_reader.h"
#include "simgpu/control.h"
#include "simgpu/gpu_image.h"
#include "stress_kernels.h"
#include "words.h"

namespace stress {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t mebibyte = 1 << 20;
constexpr std::size_t piece = 4 * mebibyte;
constexpr std::size_t pieces = 6;
// With calls that may come late or never.
constexpr std::chrono::milliseconds patience{200};
// For what vHBM tries again later.
constexpr std::chrono::seconds settling{3};

template <typename Function>
Function* simulator(const char* name) {
  auto* found = reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
  if (found == nullptr) throw Harm(std::string("this driver has no ") + name);
  return found;
}
#define SIMULATOR(function) simulator<decltype(function)>(#function)

// The calls that fail, and what the application may be answered because of them.
class Plan {
 public:
  void set(const std::string& text) {
    if (SIMULATOR(simgpu_set_faults)(text.c_str()) != 1) throw Harm("not a plan: " + text);
    armed_ = !text.empty();
  }
  [[nodiscard]] bool armed() const { return armed_; }
  [[nodiscard]] bool struck() const { return count() != 0; }
  [[nodiscard]] static unsigned long long count() { return SIMULATOR(simgpu_faults_struck)(); }

 private:
  bool armed_ = false;
};

struct Buffer {
  CUdeviceptr address = 0;
  std::uint32_t seed = 0, added = 0;
};

// One life of the primary context.
class Program {
 public:
  explicit Program(Plan& plan) : plan_(plan) {
    STRESS_CHECK(cuDeviceGet(&device_, 0));
    tolerant("cuDevicePrimaryCtxRetain", [&] { return cuDevicePrimaryCtxRetain(&context_, 0); });
    STRESS_CHECK(cuCtxSetCurrent(context_));
    tolerant("cuLibraryLoadData", [&] { return load(); });
    STRESS_CHECK(cuLibraryGetKernel(&fill_, library_, "fill"));
    STRESS_CHECK(cuLibraryGetKernel(&add_, library_, "add"));
    tolerant("cuStreamCreateWithPriority",
             [&] { return cuStreamCreateWithPriority(&stream_, CU_STREAM_NON_BLOCKING, 0); });
  }

  // Pages, and does now and then what makes vHBM call the driver, until a fault has struck or there
  // is nothing left to wait for.
  void work() {
    while (buffers_.size() < pieces) add_buffer();
    const auto end = Clock::now() + (plan_.armed() ? patience : 20ms);
    for (unsigned round = 0; Clock::now() < end && !(plan_.armed() && plan_.struck()); ++round) {
      for (unsigned i = 0; i < 6; ++i) {
        Buffer& used = buffers_[(round + i % 2) % buffers_.size()];
        add(used);
        wait();
        std::this_thread::sleep_for(1ms);
      }
      end_a_stream();
      use_another_context();
      use_native_memory();
      free(buffers_.front());
      buffers_.erase(buffers_.begin());
      add_buffer();
    }
  }

  void check_all() {
    for (const Buffer& buffer : buffers_) check_bytes(buffer);
  }
  // An allocation, kernels and copies, none of which may fail.
  void use_once_more() {
    Buffer one;
    STRESS_CHECK(cuMemAlloc(&one.address, piece));
    fill(one);
    add(one);
    check_bytes(one);
    STRESS_CHECK(cuMemFree(one.address));
  }
  // Half is freed; the rest goes with the context.
  void end() {
    for (std::size_t i = 0; i < buffers_.size() / 2; ++i) free(buffers_[i]);
    tolerant("cuDevicePrimaryCtxRelease", [&] { return cuDevicePrimaryCtxRelease(device_); });
  }

  void add_buffer() {
    Buffer made;
    made.seed = next_seed_++;
    tolerant("cuMemAlloc", [&] { return cuMemAlloc(&made.address, piece); });
    fill(made);
    buffers_.push_back(made);
  }
  // False, without an error of another kind, when there is no memory.
  [[nodiscard]] bool try_to_add_buffer() {
    Buffer made;
    made.seed = next_seed_++;
    const CUresult result = cuMemAlloc(&made.address, piece);
    if (result == CUDA_ERROR_OUT_OF_MEMORY) return false;
    check(result, "cuMemAlloc");
    fill(made);
    buffers_.push_back(made);
    return true;
  }
  [[nodiscard]] std::size_t buffers() const { return buffers_.size(); }
  void free_all() {
    for (const Buffer& buffer : buffers_) free(buffer);
    buffers_.clear();
  }

 private:
  CUresult load() {
    CUresult result = CUDA_ERROR_NO_BINARY_FOR_GPU;
    for (const gpu_image::Image& image : stress_kernels_images()) {
      result = cuLibraryLoadData(&library_, image.data, nullptr, nullptr, 0, nullptr, nullptr, 0);
      if (result != CUDA_ERROR_INVALID_IMAGE && result != CUDA_ERROR_NO_BINARY_FOR_GPU) break;
    }
    return result;
  }

  // A call may be answered with an error while calls fail; it then has had no effect, and works
  // when the faults are over.
  template <typename Call>
  void tolerant(const char* name, Call&& call) {
    const CUresult first = call();
    if (first == CUDA_SUCCESS) return;
    if (!plan_.armed() || !plan_.struck()) check(first, name);
    const CUresult second = call();
    if (second == CUDA_SUCCESS) return;
    plan_.set("");
    check(call(), name);
  }

  void launch(CUkernel kernel, void** parameters) {
    CUlaunchConfig shape{};
    shape.gridDimX = 4;
    shape.gridDimY = shape.gridDimZ = shape.blockDimY = shape.blockDimZ = 1;
    shape.blockDimX = 64;
    shape.hStream = stream_;
    const auto function = reinterpret_cast<CUfunction>(kernel);
    tolerant("cuLaunchKernelEx",
             [&] { return cuLaunchKernelEx(&shape, function, parameters, nullptr); });
  }
  void fill(Buffer& buffer) {
    std::uint64_t count = piece / sizeof(std::uint32_t);
    void* parameters[] = {&buffer.address, &count, &buffer.seed};
    launch(fill_, parameters);
  }
  void add(Buffer& buffer) {
    std::uint64_t count = piece / sizeof(std::uint32_t);
    std::uint32_t value = 7;
    void* parameters[] = {&buffer.address, &count, &value};
    launch(add_, parameters);
    buffer.added += value;
  }
  void wait() {
    tolerant("cuStreamSynchronize", [&] { return cuStreamSynchronize(stream_); });
  }
  void free(const Buffer& buffer) {
    const CUresult result = cuMemFree(buffer.address);
    if (result == CUDA_SUCCESS) return;
    if (!plan_.armed() || !plan_.struck()) check(result, "cuMemFree");
    // It may have been freed all the same: then the driver, too, would not know it any more.
    const CUresult again = cuMemFree(buffer.address);
    if (again != CUDA_ERROR_INVALID_VALUE) check(again, "cuMemFree, the second time");
  }
  void check_bytes(const Buffer& buffer) {
    std::vector<std::uint32_t> words(piece / sizeof(std::uint32_t));
    tolerant("cuMemcpyDtoHAsync",
             [&] { return cuMemcpyDtoHAsync(words.data(), buffer.address, piece, stream_); });
    wait();
    for (std::size_t i = 0; i < words.size(); ++i) {
      const std::uint32_t expected = word_of(i, buffer.seed) + buffer.added;
      if (words[i] == expected) continue;
      throw Harm("word " + std::to_string(i) + " of buffer " + std::to_string(buffer.seed) +
                 " is " + std::to_string(words[i]) + ", not " + std::to_string(expected));
    }
  }

  // With work in it that nobody waits for.
  void end_a_stream() {
    CUstream stream = nullptr;
    tolerant("cuStreamCreateWithPriority",
             [&] { return cuStreamCreateWithPriority(&stream, CU_STREAM_NON_BLOCKING, 0); });
    const auto linger = [](void*) { std::this_thread::sleep_for(2ms); };
    STRESS_CHECK(cuLaunchHostFunc(stream, linger, nullptr));
    tolerant("cuStreamDestroy", [&] { return cuStreamDestroy(stream); });
  }
  void use_another_context() {
    CUcontext other = nullptr;
#if CUDA_VERSION >= 13000
    tolerant("cuCtxCreate", [&] { return cuCtxCreate(&other, nullptr, 0, device_); });
#else
    tolerant("cuCtxCreate", [&] { return cuCtxCreate(&other, 0, device_); });
#endif
    CUdeviceptr memory = 0;
    tolerant("cuMemAlloc", [&] { return cuMemAlloc(&memory, 2 * mebibyte); });
    tolerant("cuMemsetD32Async", [&] { return cuMemsetD32Async(memory, 1, 1024, nullptr); });
    tolerant("cuCtxDestroy", [&] { return cuCtxDestroy(other); });
    STRESS_CHECK(cuCtxSetCurrent(context_));
  }
  // Which pooled HBM frames have to make room for.
  void use_native_memory() {
    std::vector<CUdeviceptr> memory(4);
    for (CUdeviceptr& one : memory) {
      tolerant("cuMemAlloc", [&] { return cuMemAlloc(&one, mebibyte); });
    }
    for (const CUdeviceptr one : memory) free({one});
  }

  Plan& plan_;
  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
  CUlibrary library_ = nullptr;
  CUkernel fill_ = nullptr, add_ = nullptr;
  CUstream stream_ = nullptr;
  std::vector<Buffer> buffers_;
  std::uint32_t next_seed_ = 1;
};

// vHBM's own books; nothing where it did not start.
std::optional<vhbm::StatsSnapshot> statistics() {
  const char* directory = std::getenv("VHBM_STATE_DIR");
  for (const auto& one : vhbm::read_live_stats(directory == nullptr ? "" : directory)) {
    if (one.pid == getpid()) return one;
  }
  return std::nullopt;
}

// What is wrong with the books after all was freed; empty when nothing is.
std::string wrong_in_books() {
  using vhbm::Stat;
  SimgpuMemory memory{};
  SIMULATOR(simgpu_memory)(0, &memory);
  const auto stats = statistics();
  const auto expect = [](const char* what, std::uint64_t is, std::uint64_t expected) {
    return is == expected ? std::string()
                          : std::string(what) + " is " + std::to_string(is) + ", not " +
                                std::to_string(expected) + "; ";
  };
  std::string wrong;
  wrong += expect("HBM in use", memory.hbm_used, stats ? (*stats)[Stat::hbm_bytes] : 0);
  wrong += expect("host memory in use", memory.host_used, stats ? (*stats)[Stat::host_bytes] : 0);
  if (!stats) return wrong;
  for (const Stat stat :
       {Stat::regions, Stat::region_bytes, Stat::resident_bytes, Stat::host_mapped_bytes,
        Stat::clean_copy_bytes, Stat::native_bytes, Stat::refused_bytes}) {
    wrong += expect(vhbm::stat_rows[static_cast<std::size_t>(stat)].name, (*stats)[stat], 0);
  }
  return wrong;
}

void expect_good_books() {
  std::string wrong;
  const auto end = Clock::now() + settling;
  do {
    wrong = wrong_in_books();
    if (wrong.empty()) return;
    std::this_thread::sleep_for(1ms);
  } while (Clock::now() < end);
  throw Harm("after all was freed: " + wrong);
}

void expect_not_frozen() {
  const auto stats = statistics();
  if (stats && (*stats)[vhbm::Stat::frozen] != 0) throw Harm("one failed call froze vHBM");
}

// As much can be had as both limits say: nothing was lost on the way.
void expect_all_memory(Plan& plan) {
  const auto stats = statistics();
  if (!stats) return;
  const std::uint64_t all = (*stats)[vhbm::Stat::hbm_limit] + (*stats)[vhbm::Stat::host_limit];
  Program program(plan);
  while (program.buffers() < all / piece && program.try_to_add_buffer()) {
  }
  if (program.buffers() * piece + piece <= all) {
    throw Harm("only " + std::to_string(program.buffers() * piece) + " of " + std::to_string(all) +
               " bytes can be had");
  }
  program.check_all();
  program.end();
}

enum class Fault { while_working, while_ending };

// Whether the fault struck.
bool run_once(const std::string& faults, Fault when) {
  Plan plan;
  if (when == Fault::while_working) plan.set(faults);
  Program program(plan);
  program.work();
  bool struck = plan.struck();
  plan.set("");
  program.check_all();
  program.use_once_more();
  if (when == Fault::while_ending) plan.set(faults);
  program.end();
  if (when == Fault::while_ending) struck = plan.struck();
  plan.set("");
  expect_good_books();
  return struck;
}

// Each case alone, so that what one breaks shows in it.
void run(const std::string& function) {
  constexpr CUresult errors[] = {CUDA_ERROR_OPERATING_SYSTEM, CUDA_ERROR_OUT_OF_MEMORY,
                                 CUDA_ERROR_UNKNOWN};
  unsigned long long struck = 0;
  unsigned cases = 0;
  const auto one = [&](const std::string& calls, Fault when) {
    const CUresult error = errors[cases++ % std::size(errors)];
    const std::string plan = function + ":" + calls + "=" + std::to_string(error);
    try {
      const bool reached = run_once(plan, when);
      if (reached) ++struck;
      return reached;
    } catch (const Harm& harm) {
      throw Harm(plan + (when == Fault::while_ending ? ", while ending: " : ": ") + harm.what());
    }
  };
  // vHBM starts with the first session, unharmed.
  (void)run_once("", Fault::while_working);
  if (!statistics()) throw Harm("this process is not paged: preload libvhbm.so");
  for (const char* calls : {"1", "2", "3", "10", "40", "1-2"}) {
    if (!one(calls, Fault::while_working)) break;  // it does not come that often
    expect_not_frozen();
  }
  one("1", Fault::while_ending);
  expect_not_frozen();
  Plan none;
  expect_all_memory(none);
  // Here vHBM may give up, but only itself.
  one("1+", Fault::while_working);
  std::printf("struck %llu\n", struck);
}

void start() {
  Plan plan;
  STRESS_CHECK(cuInit(0));
  // The plan that SIMGPU_FAULTS holds counts from here.
  const char* faults = std::getenv("SIMGPU_FAULTS");
  plan.set(faults == nullptr ? "" : faults);
  unsigned long long struck = 0;
  {
    Program program(plan);
    program.work();
    struck = Plan::count();
    plan.set("");
    program.check_all();
    program.use_once_more();
    program.end();
  }
  expect_good_books();
  expect_not_frozen();
  expect_all_memory(plan);
  std::printf("struck %llu\n", struck);
}

}  // namespace
}  // namespace stress

int main(int argc, char** argv) {
  using namespace stress;
  const std::string what = argc > 1 ? argv[1] : "";
  const std::string argument = argc > 2 ? argv[2] : "";
  try {
    if (what == "start") {
      start();
    } else {
      STRESS_CHECK(cuInit(0));
      if (what != "run") throw Harm("usage: faulted_program start | run FUNCTION");
      run(argument);
    }
  } catch (const Harm& harm) {
    std::printf("failed: %s\n", harm.what());
    return 1;
  }
  return 0;
}
