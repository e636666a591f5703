// What `vhbm doctor` is made of: a table of checks, each a function that looks at one thing and
// says whether it is as vHBM needs it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace vhbm::cli {

// `advice`: vHBM works, but could work better. `problem`: it does not work until this is cured.
enum class Verdict { ok, advice, problem };

struct Finding {
  Verdict verdict;
  std::string what;
  std::string to_do;  // "" when all is well
};

struct GpuFound {
  int ordinal = 0;
  std::string name;
  std::uint64_t memory = 0;
  bool virtual_memory = false;
  bool shared_by_mps = false;
  int numa_node = -1;  // of the host memory that is nearest; -1: the driver does not say
};

// What a child process learnt from the driver.
struct DriverFound {
  bool loaded = false;       // there is a libcuda.so.1, and it is no stub
  bool initialized = false;  // cuInit succeeded
  bool simulated = false;
  int version = 0;      // as cuDriverGetVersion: 12040
  std::string trouble;  // what went wrong, if something did
  std::vector<GpuFound> gpus;
};

struct Surroundings {
  std::chrono::milliseconds limit;  // for whatever the driver does
  DriverFound driver;
};

[[nodiscard]] DriverFound find_driver(std::chrono::milliseconds limit);

#define CHECK_ROW(name) std::vector<Finding> check_##name(const Surroundings& surroundings);
#include "doctor_checks.def"
#undef CHECK_ROW

}  // namespace vhbm::cli
