// The registry of policies: each a pure function from a situation to a plan. The same values give
// the same answer; no driver, no lock, no clock. To add one, write the function and its row in
// policies.def.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/residency.h"

namespace vhbm {

struct Policy {
  const char* name;
  const char* text;
  Planner plan;
};

[[nodiscard]] std::span<const Policy> policies();
// nullptr when there is none of that name.
[[nodiscard]] const Policy* find_policy(std::string_view name);
[[nodiscard]] std::vector<std::string> policy_names();

}  // namespace vhbm
