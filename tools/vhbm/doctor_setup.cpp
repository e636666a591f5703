// What vHBM itself brings along and writes to.
#include <dlfcn.h>
#include <sys/statvfs.h>

#include <cstdio>

#include "child_process.h"
#include "doctor.h"
#include "library.h"
#include "quantity.h"
#include "runtime/options.h"
#include "runtime/region_table.h"
#include "runtime/shared_file.h"

namespace vhbm::cli {
namespace {

int try_library(std::FILE* out, int) {
  std::string why_not;
  const std::string library = find_library(&why_not);
  if (dlopen(library.c_str(), RTLD_NOW) != nullptr) return 0;
  std::fprintf(out, "%s", dlerror());
  return 1;
}

}  // namespace

std::vector<Finding> check_state_directory(const Surroundings&) {
  const auto options = Options::from_environment();
  if (!options.ok()) {
    return {
        {Verdict::problem, options.status().message(), "programs run unvirtualised until then"}};
  }
  const std::string directory = state_directory(options->state_dir);
  std::string why_not;
  SharedFile file;
  if (!file.create(directory, sizeof(RegionsFile), &why_not)) {
    return {{Verdict::problem, "nothing can be shared in " + directory + " (" + why_not + ")",
             "make it writable, or set VHBM_STATE_DIR; without it `vhbm stat` sees nothing"}};
  }
  struct statvfs space {};
  const bool known = statvfs(directory.c_str(), &space) == 0;
  const std::uint64_t left = known ? space.f_bavail * space.f_frsize : 0;
  const std::string what = directory + " can be shared, " + bytes_text(left) + " left";
  if (known && left < RegionsFile::size_for(RegionTable::most_rows)) {
    return {{Verdict::advice, what,
             "large tables of regions will be cut: enlarge it (docker run "
             "--shm-size), or set VHBM_STATE_DIR"}};
  }
  return {{Verdict::ok, what, ""}};
}

std::vector<Finding> check_library(const Surroundings& surroundings) {
  std::string why_not;
  const std::string library = find_library(&why_not);
  if (library.empty()) return {{Verdict::problem, why_not, "install vHBM again"}};
  const ChildOutcome outcome = run_in_child(try_library, 0, surroundings.limit);
  if (outcome.trouble().empty()) return {{Verdict::ok, library + " loads", ""}};
  return {
      {Verdict::problem,
       library + " does not load: " + (outcome.output.empty() ? outcome.trouble() : outcome.output),
       "install vHBM again, for this system"}};
}

}  // namespace vhbm::cli
