// A program that knows nothing of CUDA but its plug-in, which it loads as RTLD_<HOW> and lets use
// 64 MiB: `plug_in_host PLUG_IN deepbind|local|global`. Prints what the plug-in answered.
#include <dlfcn.h>

#include <cstdio>
#include <cstring>

int main(int argc, char** argv) {
  if (argc != 3) return 64;
  int how = RTLD_NOW;
  if (std::strcmp(argv[2], "deepbind") == 0) how |= RTLD_DEEPBIND;
  if (std::strcmp(argv[2], "global") == 0) how |= RTLD_GLOBAL;
  void* plug_in = dlopen(argv[1], how);
  if (plug_in == nullptr) {
    std::printf("%s\n", dlerror());
    return 3;
  }
  const auto use = reinterpret_cast<int (*)(int)>(dlsym(plug_in, "use_memory"));
  std::printf("plug-in: %d\n", use(64));
  return 0;
}
