#include "cost/profile.h"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <vector>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace simgpu {
namespace {

constexpr const char* accepted_rate = "accepted is a number above 0 (GB/s)";
constexpr const char* accepted_cost = "accepted is a number of 0 or more (microseconds)";
constexpr const char* accepted_clock = "accepted is \"virtual\" or \"real\"";
constexpr const char* accepted_scale =
    "accepted is a number above 0 (simulated seconds that pass in a real one)";

// The keys of one file, each looked for once; what nobody looked for is unknown.
class Reader {
 public:
  Reader(std::string path, toml::table table) : path_(std::move(path)), file_(std::move(table)) {}

  void number(const char* section, const char* key, bool may_be_zero, const char* accepted,
              double* value) {
    const toml::node* node = find(section, key);
    if (node == nullptr) return;
    const auto number = node->value<double>();
    const bool is_number = node->is_integer() || node->is_floating_point();
    if (!is_number || !std::isfinite(*number) || *number < 0 || (*number == 0 && !may_be_zero)) {
      return refuse(section, key, *node, accepted);
    }
    *value = *number;
  }

  void clock(Profile::Clock* value) {
    const toml::node* node = find("", "clock");
    if (node == nullptr) return;
    const auto text = node->value<std::string>();
    if (text == "virtual") {
      *value = Profile::Clock::virtual_time;
    } else if (text == "real") {
      *value = Profile::Clock::real_time;
    } else {
      refuse("", "clock", *node, accepted_clock);
    }
  }

  // After all that is known was looked for.
  void refuse_the_rest() { refuse_rest_of(file_, ""); }

  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  // Takes it out, so that what stays is what nobody knows.
  const toml::node* find(const std::string& section, const std::string& key) {
    toml::table* table = section.empty() ? &file_ : file_[section].as_table();
    toml::node* node = table == nullptr ? nullptr : table->get(key);
    if (node != nullptr) known_.push_back(node);
    return node;
  }

  void refuse_rest_of(const toml::table& table, const std::string& section) {
    for (const auto& [key, node] : table) {
      if (std::find(known_.begin(), known_.end(), &node) != known_.end()) continue;
      const std::string name(key.str());
      if (section.empty() && node.is_table() && is_section(name)) {
        refuse_rest_of(*node.as_table(), name);
      } else {
        refuse(section, name, node,
               is_section(name) ? "accepted is a section" : keys_of(section).c_str());
      }
    }
  }

  static bool is_section(const std::string& name) { return !keys_in(name).empty(); }

  static std::string keys_in(const std::string& wanted) {
    std::string keys;
    const auto add = [&](const char* section, const char* key) {
      if (section == wanted) keys += (keys.empty() ? "" : ", ") + std::string(key);
    };
#define RATE(section, key, text) add(#section, #key);
#define COST(section, key, text) add(#section, #key);
#include "cost/profile.def"
#undef RATE
#undef COST
    return keys;
  }
  static std::string keys_of(const std::string& section) {
    if (!section.empty())
      return "unknown key: accepted in [" + section + "] are " + keys_in(section);
    std::string names, last;
    const auto add = [&](const std::string& one) {
      if (one != last) names += ", [" + one + "]";
      last = one;
    };
#define RATE(section, key, text) add(#section);
#define COST(section, key, text) add(#section);
#include "cost/profile.def"
#undef RATE
#undef COST
    return "unknown key: accepted are clock, scale" + names;
  }

  void refuse(const std::string& section, const std::string& key, const toml::node& node,
              const char* accepted) {
    if (!error_.empty()) return;
    std::ostringstream text;
    text << path_ << ":" << node.source().begin.line << ": "
         << (section.empty() ? "" : section + ".") << key << " = ";
    node.is_table() ? text << "{…}"
                    : node.visit([&](const auto& value) -> std::ostream& { return text << value; });
    text << ": " << accepted;
    error_ = text.str();
  }

  const std::string path_;
  toml::table file_;
  std::vector<const toml::node*> known_;
  std::string error_;
};

}  // namespace

bool Profile::read(const std::string& path, std::string* error) {
  toml::parse_result parsed = toml::parse_file(path);
  if (!parsed) {
    std::ostringstream text;
    const auto line = parsed.error().source().begin.line;
    text << path << ":" << (line == 0 ? "" : std::to_string(line) + ":") << " "
         << parsed.error().description();
    *error = text.str();
    return false;
  }
  Reader reader(path, std::move(parsed).table());
  reader.clock(&clock);
  reader.number("", "scale", false, accepted_scale, &scale);
#define RATE(section, key, text) \
  reader.number(#section, #key, false, accepted_rate, &section##_##key);
#define COST(section, key, text) \
  reader.number(#section, #key, true, accepted_cost, &section##_##key);
#include "cost/profile.def"
#undef RATE
#undef COST
  reader.refuse_the_rest();
  *error = reader.error();
  return error->empty();
}

}  // namespace simgpu
