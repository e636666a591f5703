// The table of policies.def, expanded once.
#include "policies/policy.h"

#include "policies/clock.h"
#include "policies/frequency.h"
#include "policies/lru.h"
#include "policies/next_use.h"
#include "policies/watermarks.h"

namespace vhbm {

namespace {

// Whatever the policy, the watermarks hold.
template <Planner plan>
Plan plan_within_watermarks(const Situation& situation) {
  const Situation bounded = within_watermarks(situation);
  Plan made = plan(bounded);
  made.memory.draining = bounded.memory.draining;
  return made;
}

}  // namespace

std::span<const Policy> policies() {
  static constexpr Policy rows[] = {
#define POLICY(name, text) {#name, text, &plan_within_watermarks<&plan_##name>},
#include "policies/policies.def"
#undef POLICY
  };
  return rows;
}

const Policy* find_policy(std::string_view name) {
  for (const Policy& policy : policies()) {
    if (policy.name == name) return &policy;
  }
  return nullptr;
}

std::vector<std::string> policy_names() {
  std::vector<std::string> names;
  for (const Policy& policy : policies()) names.emplace_back(policy.name);
  return names;
}

}  // namespace vhbm
