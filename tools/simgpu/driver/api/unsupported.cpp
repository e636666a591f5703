// See unsupported.def. Without cuda.h here, whose declarations differ from toolkit to toolkit:
// nothing of the arguments is looked at.
#include "api/symbol.h"

#define UNSUPPORTED(name, exported, version, per_thread)              \
  extern "C" int exported() {                                         \
    constexpr int not_supported = 801; /* CUDA_ERROR_NOT_SUPPORTED */ \
    return not_supported;                                             \
  }
#include "unsupported.def"
#undef UNSUPPORTED

namespace simgpu {

std::span<const Symbol> unsupported_symbols() {
  static const Symbol symbols[] = {
#define UNSUPPORTED(name, exported, version, per_thread) \
  {#name, #exported, version, per_thread, reinterpret_cast<void*>(&exported)},
#include "unsupported.def"
#undef UNSUPPORTED
  };
  return symbols;
}

}  // namespace simgpu
