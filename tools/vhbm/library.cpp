// The command and the library are installed side by side, so that no path is compiled in.
#include "library.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace vhbm::cli {
namespace fs = std::filesystem;

std::string find_library(std::string* why_not) {
  if (const char* named = std::getenv("VHBM_LIBRARY"); named != nullptr && *named != '\0') {
    std::error_code error;
    if (fs::exists(named, error)) return fs::absolute(named);
    *why_not = std::string("VHBM_LIBRARY names ") + named + ", which does not exist";
    return "";
  }
  std::error_code error;
  const fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& place : {folder / ".." / "lib" / "libvhbm.so", folder / "libvhbm.so"}) {
    if (fs::exists(place, error)) return fs::weakly_canonical(place);
  }
  *why_not = "libvhbm.so is not in " + (folder / ".." / "lib").lexically_normal().string() +
             " nor in " + folder.string() + "; VHBM_LIBRARY can name it";
  return "";
}

void preload(const std::string& library) {
  const char* before = std::getenv("LD_PRELOAD");
  const std::string others = before == nullptr ? "" : before;
  if (others == library || others.starts_with(library + ":")) return;
  setenv("LD_PRELOAD", (others.empty() ? library : library + ":" + others).c_str(), 1);
}

}  // namespace vhbm::cli
