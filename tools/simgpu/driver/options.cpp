#include "options.h"

#include <cctype>
#include <cstdlib>

namespace simgpu {
namespace {

bool parse(const std::string& text, std::uint64_t* value) {
  return parse_size(text, value);
}
bool parse(const std::string& text, std::string* value) {
  *value = text;
  return true;
}

const char* accepted(const std::uint64_t&) {
  return "a number, with KiB, MiB, GiB or TiB for sizes";
}
const char* accepted(const std::string&) {
  return "text";
}

}  // namespace

bool parse_size(const std::string& text, std::uint64_t* bytes) {
  if (text.empty() || !std::isdigit(static_cast<unsigned char>(text[0]))) return false;
  char* end = nullptr;
  const std::uint64_t number = std::strtoull(text.c_str(), &end, 10);
  const std::string unit = end;
  static constexpr struct {
    const char* name;
    int shift;
  } units[] = {{"", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
  for (const auto& known : units) {
    if (unit != known.name) continue;
    if (number > UINT64_MAX >> known.shift) return false;
    *bytes = number << known.shift;
    return true;
  }
  return false;
}

bool Options::read_environment(std::string* error) {
#define OPTION(type, name, default_value, variable, description)                               \
  if (const char* text = std::getenv(variable); text != nullptr && !parse(text, &name)) {      \
    *error = std::string(variable) + "='" + text + "': accepted is " + accepted(name) + " (" + \
             description + ")";                                                                \
    return false;                                                                              \
  }
#include "options.def"
#undef OPTION
  return true;
}

}  // namespace simgpu
