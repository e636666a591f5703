// A plan as a person reads it, and as a program does.
#pragma once

#include <string>

#include "planner.h"
#include "request.h"
#include "verdict.h"

namespace vhbm::plan {

[[nodiscard]] std::string plan_text(const WorkloadRead& read, const Plan& plan,
                                    const Verdict& verdict);
[[nodiscard]] std::string plan_json(const WorkloadRead& read, const Plan& plan,
                                    const Verdict& verdict);
// The GPUs and model families that are known, with the sources of the former.
[[nodiscard]] std::string known_text();
[[nodiscard]] std::string known_json();

}  // namespace vhbm::plan
