// What a sub-test is given: the device, the options, and the place for its findings.
//
// A sub-test is a function void(Probe&) and one row of sub_tests.def. It runs in a process of its
// own with a fresh context; it throws Failure or Skipped to end early, and what it recorded before
// stays. Invariant: every figure's key ends in its unit (…_microseconds, …_gib_per_s, …_count,
// …_bytes).
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "driver.h"
#include "host_memory.h"
#include "units.h"

namespace vmm_probe {

using Json = nlohmann::ordered_json;

struct Settings {
  int device = 0;
  double seconds_per_test = 60;
  HostMemoryLimit host_memory;
};

class Probe {
 public:
  using Publish = std::function<void(const Json& findings, const std::string& headline)>;

  // Initialises the driver and makes the device's primary context current, or throws NoGpu.
  Probe(const Settings& settings, Publish publish);

  CUdevice device() const { return device_; }
  CUcontext context() const { return context_; }
  int host_node() const { return host_node_; }  // of the device; 0 where the machine has no NUMA
  std::size_t granularity() const { return granularity_; }  // of frames in HBM
  int multiprocessors() const { return attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT); }
  int attribute(CUdevice_attribute which) const;  // -1 where the driver does not know it
  HostMemory& host_memory() { return host_memory_; }

  // Half of the sub-test's time has passed: stop repeating.
  bool half_time_over() const { return seconds_since(start_) > settings_.seconds_per_test / 2; }

  // The probe's own kernels. They exist for real GPUs of compute capability 9.0 or newer.
  bool has_kernels();
  CUfunction kernel(const char* name);  // Skipped where no image fits the device
  const std::string& why_no_kernels() const { return why_no_kernels_; }

  // Keeps a finding. What is kept survives whatever happens to this process afterwards.
  void record(const std::string& key, Json value);
  void append(const std::string& list, Json row);
  void headline(std::string one_line);

 private:
  Settings settings_;
  Publish publish_;
  Clock::time_point start_ = Clock::now();
  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
  int host_node_ = 0;
  std::size_t granularity_ = 0;
  HostMemory host_memory_;
  bool module_tried_ = false;
  CUmodule module_ = nullptr;
  std::string why_no_kernels_;
  Json findings_ = Json::object();
  std::string headline_;
};

struct SubTest {
  const char* name;
  const char* answers;
  void (*run)(Probe&);
};
std::span<const SubTest> sub_tests();

#define SUB_TEST(function, answers) void function(Probe& probe);
#include "sub_tests.def"
#undef SUB_TEST

// {"PREFIX_UNIT_median", "…_min", "…_p99", "…_samples_count"} of measured values.
Json spread(const std::string& name_with_unit, std::vector<double> samples);
double median(std::vector<double> samples);

std::string fixed(double value, int digits);

}  // namespace vmm_probe
