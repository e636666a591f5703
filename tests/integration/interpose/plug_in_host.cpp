// A program that knows nothing of CUDA but its plug-in, which it loads as RTLD_<HOW> and lets use
// 64 MiB: `plug_in_host PLUG_IN deepbind|local|global`. With `again` it loads, uses and unloads it
// many times. Prints what the plug-in answered.
#include <dlfcn.h>

#include <cstdio>
#include <cstring>

int main(int argc, char** argv) {
  if (argc != 3) return 64;
  const int times = std::strcmp(argv[2], "again") == 0 ? 6 : 1;
  int how = RTLD_NOW;
  if (std::strcmp(argv[2], "deepbind") == 0) how |= RTLD_DEEPBIND;
  if (std::strcmp(argv[2], "global") == 0) how |= RTLD_GLOBAL;
  int answer = 0;
  for (int i = 0; i < times && answer == 0; ++i) {
    void* plug_in = dlopen(argv[1], how);
    if (plug_in == nullptr) {
      std::printf("%s\n", dlerror());
      return 3;
    }
    answer = reinterpret_cast<int (*)(int)>(dlsym(plug_in, "use_memory"))(64);
    dlclose(plug_in);
  }
  std::printf("plug-in: %d\n", answer);
  return 0;
}
