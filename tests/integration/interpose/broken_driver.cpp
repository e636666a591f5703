// A libcuda.so.1 that cannot be trusted: BROKEN_DRIVER says what cuInit does.
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

extern "C" [[gnu::visibility("default")]] int cuInit(unsigned) {
  const char* manner = std::getenv("BROKEN_DRIVER");
  if (manner != nullptr && std::strcmp(manner, "crash") == 0) std::raise(SIGSEGV);
  if (manner != nullptr && std::strcmp(manner, "hang") == 0) {
    for (;;) pause();
  }
  return 34;  // CUDA_ERROR_STUB_LIBRARY, as the toolkit's own stand-in says
}
