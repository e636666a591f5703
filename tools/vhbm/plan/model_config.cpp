#include "model_config.h"

#include <algorithm>

#include "runtime/words.h"

namespace vhbm::plan {
namespace {

// Far above any model, and low enough for products of a few.
constexpr std::uint64_t most = 1'000'000'000;

}  // namespace

ModelConfig::ModelConfig(std::string file, nlohmann::json object)
    : file_(std::move(file)), object_(std::move(object)) {
  if (const auto text = object_.find("text_config"); text != object_.end() && text->is_object()) {
    nlohmann::json part = *text;
    // What is said once for all parts stands outside.
    for (const char* key : {"model_type", "torch_dtype", "dtype", "quantization_config"}) {
      if (!part.contains(key) && object_.contains(key)) part[key] = object_[key];
    }
    object_ = std::move(part);
    prefix_ = "text_config.";
  }
}

bool ModelConfig::has(const char* key) const {
  const auto found = object_.find(key);
  return found != object_.end() && !found->is_null();
}

bool ModelConfig::says(const char* key, const char* word) const {
  const auto found = object_.find(key);
  return found != object_.end() && *found == word;
}

void ModelConfig::refuse(const std::string& key, const std::string& accepted) {
  const auto found = object_.find(key);
  std::string what = " is missing";
  if (found != object_.end()) {
    what = " = " + found->dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    if (what.size() > 60) what.replace(57, std::string::npos, "...");
  }
  refusals_.push_back(file_ + ": " + prefix_ + key + what + "; accepted: " + accepted);
}

std::uint64_t ModelConfig::whole_number(const char* key, std::uint64_t least) {
  const nlohmann::json& value = object_.at(key);
  // Some files write a whole number as 32.0.
  const double number = value.is_number() ? value.get<double>() : -1;
  if (number >= static_cast<double>(least) && number <= static_cast<double>(most) &&
      number == static_cast<double>(static_cast<std::uint64_t>(number))) {
    return static_cast<std::uint64_t>(number);
  }
  refuse(key, "a whole number of " + std::to_string(least) + " to " + std::to_string(most));
  return std::max<std::uint64_t>(least, 1);
}

std::uint64_t ModelConfig::count(std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    if (has(key)) return whole_number(key, 1);
  }
  refuse(*keys.begin(), "a whole number of 1 to " + std::to_string(most));
  return 1;
}

std::uint64_t ModelConfig::count_or(std::initializer_list<const char*> keys,
                                    std::uint64_t otherwise) {
  for (const char* key : keys) {
    if (has(key)) return whole_number(key, 1);
  }
  return otherwise;
}

std::uint64_t ModelConfig::number_or(const char* key, std::uint64_t otherwise) {
  return has(key) ? whole_number(key, 0) : otherwise;
}

bool ModelConfig::flag_or(const char* key, bool otherwise) {
  if (!has(key)) return otherwise;
  const nlohmann::json& value = object_.at(key);
  if (value.is_boolean()) return value.get<bool>();
  refuse(key, "true or false");
  return otherwise;
}

std::string ModelConfig::text_or(const char* key, const std::string& otherwise) {
  if (!has(key)) return otherwise;
  const nlohmann::json& value = object_.at(key);
  if (value.is_string()) return value.get<std::string>();
  refuse(key, "a text");
  return otherwise;
}

std::vector<std::string> ModelConfig::words(const char* key, std::uint64_t how_many,
                                            std::initializer_list<const char*> accepted) {
  if (!has(key)) return {};
  const std::vector<std::string> known(accepted.begin(), accepted.end());
  const nlohmann::json& value = object_.at(key);
  std::vector<std::string> found;
  if (value.is_array()) {
    for (const nlohmann::json& one : value) {
      if (one.is_string() &&
          std::find(known.begin(), known.end(), one.get<std::string>()) != known.end()) {
        found.push_back(one.get<std::string>());
      }
    }
    if (found.size() == value.size() && found.size() == how_many) return found;
  }
  refuse(key, "a list of " + std::to_string(how_many) + " words, each " + joined_with_or(known));
  return {};
}

std::vector<std::uint64_t> ModelConfig::numbers(const char* key) {
  std::vector<std::uint64_t> found;
  if (!has(key)) return found;
  const nlohmann::json& value = object_.at(key);
  for (const nlohmann::json& one : value) {
    if (!value.is_array() || !one.is_number_unsigned()) {
      refuse(key, "a list of layer numbers");
      return {};
    }
    found.push_back(one.get<std::uint64_t>());
  }
  return found;
}

nlohmann::json ModelConfig::object(const char* key) const {
  const auto found = object_.find(key);
  return found != object_.end() && found->is_object() ? *found : nlohmann::json::object();
}

}  // namespace vhbm::plan
