// One config.json as the Hugging Face libraries write it: typed look-ups of its keys. What is
// missing or not accepted becomes a refusal that names file, key, value and what is accepted;
// reading goes on with a stand-in, so that one look finds all of them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace vhbm::plan {

class ModelConfig {
 public:
  // `object` is what stands in `file`; a model of several parts keeps that of its text in
  // "text_config", which is looked into then.
  ModelConfig(std::string file, nlohmann::json object);

  [[nodiscard]] bool has(const char* key) const;
  [[nodiscard]] bool says(const char* key, const char* word) const;
  // A whole number of at least 1; the first of the keys that is there counts.
  std::uint64_t count(std::initializer_list<const char*> keys);
  std::uint64_t count(const char* key) { return count({key}); }
  // The same, or `otherwise` where no key is there (or is null).
  std::uint64_t count_or(std::initializer_list<const char*> keys, std::uint64_t otherwise);
  std::uint64_t count_or(const char* key, std::uint64_t otherwise) {
    return count_or({key}, otherwise);
  }
  // As count_or, and 0 is accepted.
  std::uint64_t number_or(const char* key, std::uint64_t otherwise);
  bool flag_or(const char* key, bool otherwise);
  std::string text_or(const char* key, const std::string& otherwise);
  // One of `accepted` for each of so many layers; empty where the key is not there.
  std::vector<std::string> words(const char* key, std::uint64_t how_many,
                                 std::initializer_list<const char*> accepted);
  // Layer numbers; empty where the key is not there.
  std::vector<std::uint64_t> numbers(const char* key);
  // The object under `key`; an empty one where there is none.
  [[nodiscard]] nlohmann::json object(const char* key) const;

  void refuse(const std::string& key, const std::string& accepted);
  [[nodiscard]] const std::vector<std::string>& refusals() const { return refusals_; }
  [[nodiscard]] const std::string& file() const { return file_; }

 private:
  std::uint64_t whole_number(const char* key, std::uint64_t least);

  const std::string file_;
  nlohmann::json object_;
  std::string prefix_;  // of the keys, in messages
  std::vector<std::string> refusals_;
};

}  // namespace vhbm::plan
