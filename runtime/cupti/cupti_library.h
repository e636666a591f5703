// NVIDIA's profiling library, found and loaded on request: nothing links it, and a process that is
// not asked for kernel times never has it. Once loaded it stays, since it has threads and the
// driver knows its functions. Locking: none; immutable once opened.
#pragma once

#include <string>
#include <vector>

#include "runtime/cupti/cupti_types.h"
#include "runtime/status.h"

namespace vhbm {

struct CuptiFunctions {
#define CUPTI_FUNCTION(name, ...) CuptiResult (*name)(__VA_ARGS__) = nullptr;
#include "runtime/cupti/functions.def"
#undef CUPTI_FUNCTION
};

// Where it may be, best first: what is loaded already, since two copies would get into each
// other's way; of the version that the program's CUDA runtime has, and beside it; by its name, as
// the loader searches; in the toolkit's folders.
[[nodiscard]] std::vector<std::string> cupti_candidates();

class CuptiLibrary {
 public:
  //   Errc::system_error  nothing loads by that name
  //   Errc::unsupported   what does is too old, or lacks a function
  [[nodiscard]] static Result<CuptiLibrary> open(const std::string& path);

  [[nodiscard]] const CuptiFunctions& functions() const { return functions_; }
  [[nodiscard]] std::uint32_t version() const { return version_; }
  // The file that the loader took.
  [[nodiscard]] const std::string& file() const { return file_; }
  // The process had it before it was opened here.
  [[nodiscard]] bool was_loaded() const { return was_loaded_; }

  // "cuptiSubscribe gives CUPTI_ERROR_NOT_INITIALIZED (15)".
  [[nodiscard]] std::string told(const char* function, CuptiResult result) const;

 private:
  CuptiFunctions functions_;
  std::uint32_t version_ = 0;
  std::string file_;
  bool was_loaded_ = false;
};

// "of CUDA 13.0", as far as the number tells.
[[nodiscard]] std::string cupti_version_text(std::uint32_t version);

}  // namespace vhbm
