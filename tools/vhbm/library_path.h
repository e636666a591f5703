// The other way for a program to come to load the library: as its libcuda.so.1. A preload is not
// heard where a library is loaded with RTLD_DEEPBIND; the loader's search path is.
#pragma once

#include <string>

namespace vhbm::cli {

// Puts a folder in front of LD_LIBRARY_PATH, in which libcuda.so.1 is the stand-in beside
// `library`, with the driver behind it that the loader finds now. The folder lies in
// `state_directory`, is the same for all programs that get the same libraries, and stays. False,
// with the reason, when there is no driver or no folder can be made.
[[nodiscard]] bool offer_in_library_path(const std::string& library,
                                         const std::string& state_directory, std::string* why_not);

}  // namespace vhbm::cli
