// Loading: the sources one after the other, each over what the one before said.
#include "runtime/options.h"

#include <cstdlib>
#include <new>

#include "runtime/config_file.h"
#include "runtime/option_forms.h"
#include "runtime/option_table.h"
#include "runtime/toml_document.h"
#include "runtime/words.h"

namespace vhbm {
namespace {

constexpr const char* config_variable = "VHBM_CONFIG";

const char* from_process(const char* variable) {
  return std::getenv(variable);
}

Status refuse(std::string message) {
  return {Errc::invalid_value, std::move(message)};
}

Status take_file(const Options::Lookup& lookup, const KnownWords& words, Options& options) {
  const char* path = lookup(config_variable);
  if (path == nullptr || *path == '\0') return {};
  const auto refusals = read_config_file(path, words, options);
  if (refusals.empty()) return {};
  if (refusals.size() == 1) return refuse(refusals[0]);
  return refuse(refusals[0] + " (`vhbm config check " + path + "` shows " +
                std::to_string(refusals.size() - 1) + " more)");
}

Status take_environment(const Options::Lookup& lookup, const KnownWords& words, Options& options) {
  for (std::size_t id = 0; id < option_count; ++id) {
    const OptionRow& row = option_rows()[id];
    const std::string variable = variable_of(row);
    const char* value = lookup(variable.c_str());
    if (value == nullptr) continue;
    if (const auto accepted = set_option(row, value, words, options)) {
      // Text as it was typed may end in a space that nobody sees.
      const bool is_text = std::string_view(row.type) == Form<Text>::type_name;
      return refuse(variable + "=" + (is_text ? shown(value) : value) +
                    " is not accepted: expected " + *accepted);
    }
    options.origins[id] = {Origin::Kind::environment, variable};
  }
  return {};
}

}  // namespace

Result<Options> Options::from_environment(const Lookup& lookup, const KnownWords& words) {
  try {
    Options options;
    if (Status status = take_file(lookup, words, options); !status.ok()) return status;
    if (Status status = take_environment(lookup, words, options); !status.ok()) return status;
    return options;
  } catch (const std::bad_alloc&) {
    return Status(Errc::system_error, "no memory to read the options");
  }
}

Result<Options> Options::from_environment(const KnownWords& words) {
  return from_environment(&from_process, words);
}

bool Options::disabled_by(const Lookup& lookup) {
  const char* value = lookup(variable_of(option_rows()[std::size_t(OptionId::disable)]).c_str());
  bool disable = false;
  return value != nullptr && Form<bool>::read(trimmed(value), disable) && disable;
}

bool Options::disabled_by_environment() {
  return disabled_by(&from_process);
}

}  // namespace vhbm
