// What vHBM insists on finding in a driver and the benchmark never calls: refused. Weak, so that
// driver.cpp's definitions come first; without cuda.h, since signatures do not matter here.
#define REFUSE_optional(symbol)
#define REFUSE_required(symbol)                         \
  extern "C" [[gnu::weak]] int symbol() {               \
    constexpr int not_supported = 801; /* a CUresult */ \
    return not_supported;                               \
  }
#define CUDA_VERSION 0
#define HOOK(group, need, name, symbol) REFUSE_##need(symbol)
#include "interpose/symbols.def"
#undef HOOK
