#include "fault_plan.h"

#include <cstdlib>
#include <cstring>
#include <sstream>

namespace simgpu {
namespace {

constexpr const char* kDeviceLost = "device_lost";

// "cuMemAlloc" names cuMemAlloc_v2 and cuMemcpyHtoDAsync names cuMemcpyHtoDAsync_v2_ptsz as well.
bool names(const std::string& rule, const char* function) {
  const std::size_t length = rule.size();
  return std::strncmp(rule.c_str(), function, length) == 0 &&
         (function[length] == 0 || std::strncmp(function + length, "_v", 2) == 0 ||
          std::strncmp(function + length, "_pt", 3) == 0);
}

}  // namespace

bool FaultPlan::set(const std::string& text, std::string* error) {
  std::vector<Rule> rules;
  std::istringstream items(text);
  for (std::string item; std::getline(items, item, ',');) {
    if (item.empty()) continue;
    const std::size_t colon = item.find(':');
    const std::size_t equals = item.find('=');
    const char* numbers = colon == std::string::npos ? "" : item.c_str() + colon + 1;
    char* end = nullptr;
    Rule rule{item.substr(0, colon), std::strtoull(numbers, &end, 10), 0, CUDA_SUCCESS};
    rule.last = rule.first;
    if (*end == '-') rule.last = std::strtoull(end + 1, &end, 10);
    if (*end == '+') {
      rule.last = UINT64_MAX;
      ++end;
    }
    const bool is_call = rule.function != kDeviceLost;
    if (*end == '=') rule.result = static_cast<CUresult>(std::strtoul(end + 1, &end, 10));
    if (colon == std::string::npos || rule.first == 0 || *end != 0 ||
        (is_call && (equals == std::string::npos || rule.result == CUDA_SUCCESS))) {
      *error = "'" + item +
               "': accepted is FUNCTION:N=ERROR, FUNCTION:N-M=ERROR, FUNCTION:N+=ERROR "
               "or device_lost:N, N from 1";
      return false;
    }
    rules.push_back(rule);
  }
  rules_ = std::move(rules);
  struck_ = 0;
  return true;
}

CUresult FaultPlan::next_call(const char* function) {
  CUresult result = CUDA_SUCCESS;
  for (Rule& rule : rules_) {
    if (!names(rule.function, function)) continue;
    ++rule.calls;
    if (rule.calls >= rule.first && rule.calls <= rule.last) result = rule.result;
  }
  if (result != CUDA_SUCCESS) ++struck_;
  return result;
}

bool FaultPlan::device_lost_after_this_work() {
  for (Rule& rule : rules_) {
    if (rule.function == kDeviceLost && ++rule.calls == rule.first) return true;
  }
  return false;
}

}  // namespace simgpu
