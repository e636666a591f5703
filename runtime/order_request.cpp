#include "runtime/order_request.h"

#include "runtime/option_table.h"

namespace vhbm {

void refuse(std::string why) {
  throw Refused{std::move(why)};
}

void refuse(const std::string& key, const OrderJson& value, const std::string& accepted) {
  refuse(key + " = " + value.dump(-1, ' ', false, OrderJson::error_handler_t::replace) +
         " is not accepted: expected " + accepted);
}

std::string told(const OrderJson& answer) {
  return answer.dump(-1, ' ', false, OrderJson::error_handler_t::replace);
}

std::string told_failure(const std::string& why) {
  return told({{"ok", false}, {"error", why}});
}

std::string text_of(const OrderJson& request, const char* key, const std::string& accepted) {
  if (!request.contains(key)) refuse(std::string(key) + " is missing: expected " + accepted);
  if (!request[key].is_string()) refuse(key, request[key], accepted);
  return request[key].get<std::string>();
}

std::chrono::milliseconds time_of(const OrderJson& request, const char* key,
                                  std::chrono::milliseconds otherwise) {
  if (!request.contains(key)) return otherwise;
  const OrderJson& value = request[key];
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > 3'600'000) {
    refuse(key, value, "0 to 3600000 milliseconds");
  }
  return std::chrono::milliseconds(value.get<std::uint64_t>());
}

Bytes size_of(const OrderJson& request, const char* key) {
  constexpr const char* accepted = "a size such as 8GiB, 512MiB or 4096 (bytes)";
  const OrderJson& value = request[key];
  if (value.is_number_unsigned()) return {value.get<std::uint64_t>()};
  const auto size = parse_size(text_of(request, key, accepted));
  if (!size || size->is_automatic() || size->is_share()) refuse(key, value, accepted);
  return size->resolve({}, {});
}

bool flag_of(const OrderJson& request, const char* key) {
  if (!request.contains(key)) return false;
  if (!request[key].is_boolean()) refuse(key, request[key], "true or false");
  return request[key].get<bool>();
}

}  // namespace vhbm
