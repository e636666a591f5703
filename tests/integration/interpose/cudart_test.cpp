// The toolkit's own runtime library under the preloaded one. The simulated driver writes a line for
// each request it gets: name, version, flags, the answer's name, who asked.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "loaded_functions.h"

namespace {

struct Request {
  std::string name;
  int version = 0;
  cuuint64_t flags = 0;
  std::string answered, caller;
};

// This program is not linked with the driver, so that nothing but the runtime brings it in.
auto preloaded_proc_address() {
  return reinterpret_cast<decltype(&cuGetProcAddress_v2)>(
      defined_in("libvhbm.so", "cuGetProcAddress_v2"));
}

std::vector<Request> requests_of_the_runtime() {
  // On the simulated driver these may fail in the end; what counts is what they asked for before.
  int devices = 0;
  void* memory = nullptr;
  (void)cudaGetDeviceCount(&devices);
  (void)cudaMalloc(&memory, 64);
  (void)cudaFree(memory);
  std::ifstream file(TRACE_FILE);
  std::vector<Request> requests;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    Request one;
    std::getline(fields, one.name, '\t');
    fields >> one.version >> one.flags >> one.answered >> one.caller;
    requests.push_back(one);
  }
  return requests;
}

TEST(RealCudart, GetsTheHookOfTheRightVariantForEveryRequest) {
  const std::vector<Request> requests = requests_of_the_runtime();
  ASSERT_GE(requests.size(), 400u);
  const auto ask = preloaded_proc_address();
  ASSERT_NE(ask, nullptr);
  int hooked = 0, per_thread = 0, missing = 0;
  for (const Request& one : requests) {
    EXPECT_TRUE(one.name.empty() || is_hooked_name(one.name) || is_passed_through(one.name))
        << one.name << " is asked for by the runtime: give it a row in interpose/symbols.def, or "
        << "a reason in interpose/pass_through.def";
    // Had the runtime reached the driver by itself, it would be the one that asked.
    EXPECT_NE(one.caller.find("libvhbm.so"), std::string::npos) << one.name << " by " << one.caller;
    void* answer = nullptr;
    ASSERT_EQ(ask(one.name.c_str(), &answer, one.version, one.flags, nullptr), CUDA_SUCCESS)
        << one.name;
    if (one.answered == "-") {
      EXPECT_EQ(answer, nullptr) << one.name;
      if (is_hooked_name(one.name)) ++missing;
      continue;
    }
    EXPECT_EQ(owner_of(answer).file, is_hooked(one.answered) ? "libvhbm.so" : "libcuda.so.1")
        << one.name;
    EXPECT_EQ(owner_of(answer).symbol, one.answered) << one.name << " " << one.version;
    // The name may be decided about, and not this variant of it.
    EXPECT_TRUE(is_hooked(one.answered) || is_passed_through(one.answered)) << one.answered;
    if (is_hooked(one.answered)) {
      ++hooked;
      if (one.flags == CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) ++per_thread;
    }
  }
  std::printf(
      "%zu requests; %d answered with a hook, %d of these per-thread; %d for functions of "
      "the table that this driver does not have\n",
      requests.size(), hooked, per_thread, missing);
  EXPECT_GE(hooked, 80);
  EXPECT_GE(per_thread, 20);
}

}  // namespace
