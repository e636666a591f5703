// The table of policies.def, expanded once.
#include "policies/policy.h"

#include "policies/lru.h"

namespace vhbm {

std::span<const Policy> policies() {
  static constexpr Policy rows[] = {
#define POLICY(name, text) {#name, text, &plan_##name},
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
