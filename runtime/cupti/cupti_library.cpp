// No variable of the environment is read: the host may change it in another thread at any time.
// The loader read LD_LIBRARY_PATH when the process began.
#include "runtime/cupti/cupti_library.h"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <string_view>

namespace vhbm {
namespace {

// CUDA's major versions whose libraries are looked for. The soname has had no minor version since
// 12.0 (CUPTI's release notes, "Updates in CUDA 12.0").
constexpr int newest_major = 15, oldest_major = 12;

constexpr const char* toolkit_folders[] = {
    "/usr/local/cuda/extras/CUPTI/lib64/",
    "/usr/local/cuda/lib64/",
#if defined(__aarch64__)
    "/usr/local/cuda/targets/sbsa-linux/lib/",
#else
    "/usr/local/cuda/targets/x86_64-linux/lib/",
#endif
};

std::string name_of(int major) {
  return "libcupti.so." + std::to_string(major);
}

struct Loaded {
  std::vector<std::string> cupti, cudart;  // paths
};

int note_object(dl_phdr_info* info, std::size_t, void* data) {
  const std::string_view path = info->dlpi_name == nullptr ? "" : info->dlpi_name;
  const std::string_view file = path.substr(path.rfind('/') + 1);
  auto& loaded = *static_cast<Loaded*>(data);
  if (file.starts_with("libcupti.so")) loaded.cupti.emplace_back(path);
  if (file.starts_with("libcudart.so.")) loaded.cudart.emplace_back(path);
  return 0;
}

std::string file_of(const void* function) {
  Dl_info info{};
  if (dladdr(function, &info) == 0 || info.dli_fname == nullptr) return "";
  return info.dli_fname;
}

}  // namespace

std::vector<std::string> cupti_candidates() {
  Loaded loaded;
  dl_iterate_phdr(note_object, &loaded);
  std::vector<std::string> all = loaded.cupti;
  const auto add = [&](std::string path) {
    if (std::find(all.begin(), all.end(), path) == all.end()) all.push_back(std::move(path));
  };
  for (const std::string& cudart : loaded.cudart) {
    const std::size_t file = cudart.rfind('/') + 1;
    const std::string folder = cudart.substr(0, file);
    const std::string cupti = "libcupti" + cudart.substr(file + std::string("libcudart").size());
    add(cupti);
    add(folder + cupti);
    // Python's wheels of CUDA 12 give each library a folder of its own.
    add(folder + "../../cuda_cupti/lib/" + cupti);
  }
  for (int major = newest_major; major >= oldest_major; --major) add(name_of(major));
  for (const char* folder : toolkit_folders) {
    for (int major = newest_major; major >= oldest_major; --major) add(folder + name_of(major));
  }
  return all;
}

Result<CuptiLibrary> CuptiLibrary::open(const std::string& path) {
  CuptiLibrary made;
  void* library = dlopen(path.c_str(), RTLD_NOLOAD | RTLD_LAZY);
  made.was_loaded_ = library != nullptr;
  if (library == nullptr) library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* const why = dlerror();
    return Status(Errc::system_error, why == nullptr ? path + " does not load" : why);
  }
  const char* missing = nullptr;
#define CUPTI_FUNCTION(name, ...)                                                      \
  made.functions_.name =                                                               \
      reinterpret_cast<decltype(made.functions_.name)>(dlsym(library, "cupti" #name)); \
  if (made.functions_.name == nullptr && missing == nullptr) missing = "cupti" #name;
#include "runtime/cupti/functions.def"
#undef CUPTI_FUNCTION
  if (missing != nullptr) {
    dlerror();
    return Status(Errc::unsupported, path + " has no " + missing);
  }
  made.file_ = file_of(reinterpret_cast<const void*>(made.functions_.GetVersion));
  if (made.file_.empty()) made.file_ = path;
  const CuptiResult asked = made.functions_.GetVersion(&made.version_);
  if (asked != CuptiResult::success) {
    return Status(Errc::unsupported, made.file_ + ": " + made.told("cuptiGetVersion", asked));
  }
  if (made.version_ < oldest_cupti) {
    return Status(Errc::unsupported, made.file_ + " is CUPTI's version " +
                                         std::to_string(made.version_) + ": expected " +
                                         std::to_string(oldest_cupti) + " (CUDA 12.0) or later");
  }
  return made;
}

std::string CuptiLibrary::told(const char* function, CuptiResult result) const {
  const char* text = nullptr;
  if (functions_.GetResultString(result, &text) != CuptiResult::success) text = nullptr;
  return std::string(function) + " gives " + (text == nullptr ? "an unknown error" : text) + " (" +
         std::to_string(static_cast<int>(result)) + ")";
}

// cupti_version.h: counted up to CUDA 12.9, xxyyzz since.
std::string cupti_version_text(std::uint32_t version) {
  if (version < 10'000) return "version " + std::to_string(version);
  return "of CUDA " + std::to_string(version / 10'000) + "." + std::to_string(version / 100 % 100);
}

}  // namespace vhbm
