// The simulator's settings, read once from the environment at cuInit; options.def is their only
// list.
#pragma once

#include <cstdint>
#include <string>

namespace simgpu {

struct Options {
  using size = std::uint64_t;
  using count = std::uint64_t;
  using text = std::string;
#define OPTION(type, name, default_value, variable, description) type name = default_value;
#include "options.def"
#undef OPTION

  // Fills in what the environment sets. False, with one line in `error` that names the variable,
  // its value and what is accepted, when a value cannot be read.
  bool read_environment(std::string* error);
};

// "64MiB" -> 67108864. False when `text` is not a size.
bool parse_size(const std::string& text, std::uint64_t* bytes);

}  // namespace simgpu
