// Links only, so that the folder may lie where nothing can be executed, as a container's /dev/shm.
#include "library_path.h"

#include <dlfcn.h>
#include <link.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <vector>

#include "child_process.h"
#include "runtime/shared_file.h"

namespace vhbm::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* driver_name = "libcuda.so.1";
// What the stand-in is linked with; interpose/linkage.cpp looks for it too.
constexpr const char* name_behind_stand_in = "libvhbm_driver.so";
// For a driver to be loaded; nothing of it is called.
constexpr std::chrono::seconds patience{30};

// Where the loader finds the driver: it knows of more places than LD_LIBRARY_PATH.
int tell_driver_path(std::FILE* out, int) {
  void* library = dlopen(driver_name, RTLD_LAZY);
  if (library == nullptr) {
    std::fprintf(out, "%s", dlerror());
    return 1;
  }
  // In a program that runs this way itself, the driver stands behind.
  if (void* behind = dlopen(name_behind_stand_in, RTLD_NOLOAD | RTLD_LAZY); behind != nullptr) {
    library = behind;
  }
  link_map* loaded = nullptr;
  if (dlinfo(library, RTLD_DI_LINKMAP, static_cast<void*>(&loaded)) != 0) return 1;
  std::fprintf(out, "%s", loaded->l_name);
  return 0;
}

std::string find_driver_file(std::string* why_not) {
  const ChildOutcome outcome = run_in_child(tell_driver_path, 0, patience);
  std::error_code error;
  if (outcome.trouble().empty()) return fs::canonical(outcome.output, error);
  *why_not = "there is no GPU driver to stand in for: " +
             (outcome.output.empty() ? outcome.trouble() : outcome.output);
  return "";
}

struct Link {
  std::string name, target;
};

// Complete or not at all: a program that starts meanwhile finds nothing or everything.
bool make_folder(const fs::path& folder, const std::vector<Link>& links, std::string* why_not) {
  std::error_code error;
  if (fs::exists(folder, error)) return true;
  const fs::path unnamed = folder.string() + "." + std::to_string(getpid());
  fs::create_directory(unnamed, error);
  for (const Link& link : links) {
    if (!error) fs::create_symlink(link.target, unnamed / link.name, error);
  }
  if (!error) fs::rename(unnamed, folder, error);
  if (!error) return true;
  std::error_code ignored;
  fs::remove_all(unnamed, ignored);
  if (fs::exists(folder, ignored)) return true;  // another one was faster
  *why_not = "cannot make " + folder.string() + ": " + error.message();
  return false;
}

}  // namespace

bool offer_in_library_path(const std::string& library, const std::string& state_directory,
                           std::string* why_not) {
  const std::string stand_in = fs::path(library).parent_path() / "libvhbm_stand_in.so";
  std::error_code error;
  if (!fs::exists(stand_in, error)) {
    *why_not = stand_in + " is not there: install vHBM again";
    return false;
  }
  const std::string driver = find_driver_file(why_not);
  if (driver.empty() || !prepare_state_directory(state_directory, why_not)) return false;
  const std::vector<Link> links = {{driver_name, stand_in},
                                   {"libcuda.so", stand_in},
                                   {"libvhbm.so", library},
                                   {name_behind_stand_in, driver}};
  std::string targets;
  for (const Link& link : links) targets += link.target + "\n";
  char name[40];
  std::snprintf(name, sizeof name, "library-path-%016zx", std::hash<std::string>{}(targets));
  const fs::path folder = fs::absolute(state_directory, error) / name;
  if (!make_folder(folder, links, why_not)) return false;
  const char* before = std::getenv("LD_LIBRARY_PATH");
  const std::string others = before == nullptr ? "" : before;
  if (others == folder || others.starts_with(folder.string() + ":")) return true;
  setenv("LD_LIBRARY_PATH",
         (others.empty() ? folder.string() : folder.string() + ":" + others).c_str(), 1);
  return true;
}

}  // namespace vhbm::cli
