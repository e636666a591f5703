// owned_program USER: becomes that user, keeps 4 MiB that may leave the GPU and 4 MiB that it
// shares, writes the handle of those to standard output, and checks its bytes once standard input
// ends.
#include <cuda.h>
#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

constexpr std::size_t size = 4 << 20;
constexpr std::uint32_t word = 0x600df00d;

void check(const char* call, CUresult result) {
  if (result == CUDA_SUCCESS) return;
  std::fprintf(stderr, "%s answered %d\n", call, static_cast<int>(result));
  std::exit(3);
}

}  // namespace

int main(int argc, char** argv) {
  // Before CUDA is used: the library does nothing until then. Whoever changes user is hidden from
  // that user's own eyes in /proc, which a process that was started by the user is not.
  const auto user = static_cast<uid_t>(argc > 1 ? std::atoi(argv[1]) : 0);
  if (setgroups(0, nullptr) != 0 || setgid(user) != 0 || setuid(user) != 0 ||
      prctl(PR_SET_DUMPABLE, 1) != 0) {
    std::perror("owned_program: cannot become that user");
    return 2;
  }
  CUdevice device = 0;
  CUcontext context = nullptr;
  CUdeviceptr kept = 0, shared = 0;
  CUipcMemHandle handle{};
  check("cuInit", cuInit(0));
  check("cuDeviceGet", cuDeviceGet(&device, 0));
  check("cuDevicePrimaryCtxRetain", cuDevicePrimaryCtxRetain(&context, device));
  check("cuCtxSetCurrent", cuCtxSetCurrent(context));
  for (CUdeviceptr* one : {&kept, &shared}) {
    check("cuMemAlloc", cuMemAlloc(one, size));
    check("cuMemsetD32", cuMemsetD32(*one, word, size / sizeof word));
  }
  check("cuCtxSynchronize", cuCtxSynchronize());
  check("cuIpcGetMemHandle", cuIpcGetMemHandle(&handle, shared));
  if (write(STDOUT_FILENO, &handle, sizeof handle) != sizeof handle) return 2;
  char end = 0;
  while (read(STDIN_FILENO, &end, 1) > 0) {
  }
  std::vector<std::uint32_t> words(size / sizeof word);
  for (const CUdeviceptr one : {kept, shared}) {
    check("cuMemcpyDtoH", cuMemcpyDtoH(words.data(), one, size));
    for (const std::uint32_t got : words) {
      if (got != word) return 1;
    }
  }
  return 0;
}
