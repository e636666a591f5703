// A file that a user wrote, as one text.
#pragma once

#include <optional>
#include <string>

namespace vhbm {

// What the file holds; nullopt, and in words `why`, when it cannot be read or is larger than
// anybody writes by hand, which is 1 MiB.
[[nodiscard]] std::optional<std::string> read_text_file(const std::string& path, std::string* why);

}  // namespace vhbm
