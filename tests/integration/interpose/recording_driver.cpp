// Stands between the preloaded library and the driver with a function for every hooked one. Each
// notes its name and arguments and answers with an error of its own, so that a test can tell where
// a hook forwards to, and what.
#include "recording_driver.h"

#include <cuda.h>
#include <dlfcn.h>

#include <cstring>

namespace {

RecordedCall last;
const char* given = nullptr;
bool succeeds = false;
Word gives_next = 0;

// Twelve words are more than any driver function has: beyond its own are the caller's, unused.
using Arguments = std::array<Word, 12>;

CUresult record(const char* function, int line, const Arguments& arguments);

}  // namespace

// By assembly names, since cuda.h declares these functions with arguments.
#define HOOK(group, need, name, symbol)                                                           \
  extern "C" CUresult recorded_##symbol(Word a, Word b, Word c, Word d, Word e, Word f, Word g,   \
                                        Word h, Word i, Word j, Word k, Word l) __asm__(#symbol); \
  CUresult recorded_##symbol(Word a, Word b, Word c, Word d, Word e, Word f, Word g, Word h,      \
                             Word i, Word j, Word k, Word l) {                                    \
    return record(#symbol, __LINE__, {a, b, c, d, e, f, g, h, i, j, k, l});                       \
  }
#include "interpose/symbols.def"
#undef HOOK

namespace {

void* function_of(const char* asked) {
#define HOOK(group, need, name, symbol) \
  if (std::strcmp(asked, #symbol) == 0) return reinterpret_cast<void*>(&recorded_##symbol);
#include "interpose/symbols.def"
#undef HOOK
  return nullptr;
}

CUresult record(const char* function, int line, const Arguments& arguments) {
  if (given != nullptr && arguments[0] == reinterpret_cast<Word>(given) &&
      std::strncmp(function, "cuGetProcAddress", 16) == 0) {
    *reinterpret_cast<void**>(arguments[1]) = function_of(given);
    return CUDA_SUCCESS;
  }
  last = {function, arguments};
  if (succeeds) {
    succeeds = false;
    if (gives_next != 0) *reinterpret_cast<Word*>(arguments[0]) = gives_next;
    return CUDA_SUCCESS;
  }
  return static_cast<CUresult>(recorded_error(line));
}

}  // namespace

RecordedCall take_recorded_call() {
  const RecordedCall taken = last;
  last = {};
  return taken;
}

void let_recording_driver_succeed(Word gives) {
  succeeds = true;
  gives_next = gives;
}

void let_recording_driver_give(const char* symbol) {
  given = symbol;
}
