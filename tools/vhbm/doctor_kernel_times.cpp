// Whether kernel times can be had: a child looks for CUPTI as a recorded process does, and lets it
// say whether it works with this driver.
#include <cstdio>

#include "child_process.h"
#include "doctor.h"
#include "runtime/cupti/cupti_kernel_times.h"

namespace vhbm::cli {
namespace {

int look_for_cupti(std::FILE* out, int) {
  const auto found = CuptiKernelTimes().find();
  if (!found.ok()) {
    std::fprintf(out, "%s", found.status().message().c_str());
    return 1;
  }
  std::fprintf(out, "CUPTI %s, %s", cupti_version_text(found->version()).c_str(),
               found->file().c_str());
  return 0;
}

}  // namespace

std::vector<Finding> check_kernel_times(const Surroundings& surroundings) {
  // CUPTI asks the driver.
  if (!surroundings.driver.initialized) return {};
  const ChildOutcome outcome = run_in_child(look_for_cupti, 0, surroundings.limit);
  const std::string trouble = outcome.trouble();
  if (trouble.empty()) return {{Verdict::ok, outcome.output, ""}};
  const bool told = outcome.end == ChildOutcome::End::exited && !outcome.output.empty();
  return {{Verdict::advice, "there are none: " + (told ? outcome.output : trouble),
           "only the kernels in `vhbm record`'s timeline need them"}};
}

}  // namespace vhbm::cli
