// The hooked functions as a table of pointers, and the driver functions that hooks ask but never
// intercept. Filled once, then immutable; shared by all threads.
//
// Compiled with __CUDA_API_VERSION_INTERNAL, so that cuda.h declares every variant under its own
// name.
#pragma once

#include <cuda.h>

#if !defined(__CUDA_API_VERSION_INTERNAL)
#error "interpose is compiled with __CUDA_API_VERSION_INTERNAL: see interpose/CMakeLists.txt"
#endif

#include <cstddef>

namespace vhbm::interpose {

struct Functions {
#define HOOK(group, need, name, symbol) decltype(&::symbol) symbol = nullptr;
#include "interpose/symbols.def"
#undef HOOK

  // `resolve` gives a function by its exported name, nullptr when there is none.
  template <typename Resolve>
  void load(Resolve&& resolve) {
#define HOOK(group, need, name, symbol) \
  symbol = reinterpret_cast<decltype(symbol)>(resolve(#symbol));
#include "interpose/symbols.def"
#undef HOOK
  }

  // The first required function that is missing, or nullptr.
  [[nodiscard]] const char* missing() const {
    enum Need { optional, required };
#define HOOK(group, need, name, symbol) \
  if ((need) == required && symbol == nullptr) return #symbol;
#include "interpose/symbols.def"
#undef HOOK
    return nullptr;
  }
};

// Any of these may be nullptr: older drivers lack the newer ones.
struct Queries {
#define QUERY(symbol) decltype(&::symbol) symbol = nullptr;
#include "interpose/queries.def"
#undef QUERY

  template <typename Resolve>
  void load(Resolve&& resolve) {
#define QUERY(symbol) symbol = reinterpret_cast<decltype(symbol)>(resolve(#symbol));
#include "interpose/queries.def"
#undef QUERY
  }
};

}  // namespace vhbm::interpose
