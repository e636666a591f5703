// The driver as the runtime sees it: a plain table of real function pointers. The runtime calls
// nothing else of the driver, so it can never enter the product's own hooks, and a test can hand it
// the simulated GPU's table with any entry replaced. Immutable once loaded; shared by all threads.
#pragma once

#include <cuda.h>

#if CUDA_VERSION < 12050
extern "C" CUresult CUDAAPI cuCtxRecordEvent(CUcontext context, CUevent event);
#endif

namespace vhbm {

struct Driver {
#define DRIVER(need, symbol) decltype(&::symbol) symbol = nullptr;
#include "runtime/driver.def"
#undef DRIVER

  // Fills the table by asking `resolve` for each symbol: nullptr when there is none. False when a
  // required one is missing; `missing` then names the first.
  template <typename Resolve>
  [[nodiscard]] bool load(Resolve&& resolve, const char** missing = nullptr) {
    const char* first_missing = nullptr;
    enum Need { required, optional };
#define DRIVER(need, symbol)                                                 \
  symbol = reinterpret_cast<decltype(symbol)>(resolve(#symbol));             \
  if (symbol == nullptr && (need) == required && first_missing == nullptr) { \
    first_missing = #symbol;                                                 \
  }
#include "runtime/driver.def"
#undef DRIVER
    if (missing != nullptr) *missing = first_missing;
    return first_missing == nullptr;
  }
};

}  // namespace vhbm
