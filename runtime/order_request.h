// What the orders have in common: how a request's values are read, and how it is answered. Each
// refusal names the key, the value and what is accepted. Locking: none.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "runtime/units.h"

namespace vhbm {

// Keys in the order in which they are told.
using OrderJson = nlohmann::ordered_json;

// A request that is not accepted, and why; ends at Orders::answer().
struct Refused {
  std::string why;
};
[[noreturn]] void refuse(std::string why);
[[noreturn]] void refuse(const std::string& key, const OrderJson& value,
                         const std::string& accepted);

[[nodiscard]] std::string told(const OrderJson& answer);
[[nodiscard]] std::string told_failure(const std::string& why);

// The value of a key; refused where it is of another kind, or missing and without a default.
[[nodiscard]] std::string text_of(const OrderJson& request, const char* key,
                                  const std::string& accepted);
[[nodiscard]] std::chrono::milliseconds time_of(const OrderJson& request, const char* key,
                                                std::chrono::milliseconds otherwise);
[[nodiscard]] Bytes size_of(const OrderJson& request, const char* key);
// False where nothing is said.
[[nodiscard]] bool flag_of(const OrderJson& request, const char* key);

}  // namespace vhbm
