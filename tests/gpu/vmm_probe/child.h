// Runs one sub-test in a process of its own, so that a lost context, a crash or a hang in it is
// that sub-test's result and nobody else's. Requires: the caller has a single thread and has not
// used CUDA.
#pragma once

#include "probe.h"

namespace vmm_probe {

struct Outcome {
  std::string status;    // ok, failed, skipped, timed_out, crashed
  std::string reason;    // in words, empty when ok
  std::string headline;  // one line for the table
  double seconds = 0;
  Json findings = Json::object();  // what was found until the end, however it came
  bool no_gpu = false;             // it never got as far as a context
};

Outcome run_in_child(const SubTest& test, const Settings& settings);

}  // namespace vmm_probe
