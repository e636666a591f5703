// Where libvhbm.so is, and how a program comes to load it.
#pragma once

#include <string>

namespace vhbm::cli {

// $VHBM_LIBRARY, else ../lib or the same folder as seen from this command's own file. "" with the
// reason in `why_not` when there is none.
[[nodiscard]] std::string find_library(std::string* why_not);

// Puts the library in front of whatever LD_PRELOAD holds.
void preload(const std::string& library);

}  // namespace vhbm::cli
