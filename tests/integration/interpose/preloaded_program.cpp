// An ordinary CUDA program: allocates MEBIBYTES, writes and reads them back. With `fork` it then
// has a child, which allocates host memory and ends; with `wait:FILE` it keeps its memory until
// FILE exists. Exit code 2 when there is not enough memory.
#include <cuda.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

constexpr std::size_t piece = 4 << 20;

[[noreturn]] void fail(const char* call, CUresult result) {
  const char* name = "an unknown error";
  cuGetErrorName(result, &name);
  std::fprintf(stderr, "%s: %s\n", call, name);
  std::exit(result == CUDA_ERROR_OUT_OF_MEMORY ? 2 : 3);
}

void check(const char* call, CUresult result) {
  if (result != CUDA_SUCCESS) fail(call, result);
}

using Words = std::vector<std::uint32_t>;

void write_pattern(Words& words, std::uint32_t seed) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    words[i] = seed * 2654435761u ^ static_cast<std::uint32_t>(i * 40503u);
  }
}

bool holds(const std::vector<CUdeviceptr>& pieces) {
  Words expected(piece / sizeof(std::uint32_t));
  Words back(expected.size());
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    check("cuMemcpyDtoH", cuMemcpyDtoH(back.data(), pieces[i], piece));
    write_pattern(expected, static_cast<std::uint32_t>(i));
    if (back != expected) return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t mebibytes = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 16;
  CUdevice device = 0;
  CUcontext context = nullptr;
  check("cuInit", cuInit(0));
  check("cuDeviceGet", cuDeviceGet(&device, 0));
  check("cuDevicePrimaryCtxRetain", cuDevicePrimaryCtxRetain(&context, device));
  check("cuCtxSetCurrent", cuCtxSetCurrent(context));
  std::vector<CUdeviceptr> pieces(mebibytes / (piece >> 20));
  Words words(piece / sizeof(std::uint32_t));
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    check("cuMemAlloc", cuMemAlloc(&pieces[i], piece));
    write_pattern(words, static_cast<std::uint32_t>(i));
    check("cuMemcpyHtoD", cuMemcpyHtoD(pieces[i], words.data(), piece));
  }
  if (!holds(pieces)) return 1;
  std::printf("%zu MiB written and read back\n", mebibytes);
  std::fflush(stdout);
  if (argc > 2 && std::strcmp(argv[2], "fork") == 0) {
    const pid_t child = fork();
    if (child == 0) {
      std::vector<char> memory(piece, 'x');
      _exit(memory[piece / 2] == 'x' ? 0 : 1);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0 || !holds(pieces)) return 1;
    std::printf("and again, after a fork\n");
  }
  if (argc > 2 && std::strncmp(argv[2], "wait:", 5) == 0) {
    for (int i = 0; i < 2000 && access(argv[2] + 5, F_OK) != 0; ++i) usleep(10'000);
  }
  for (CUdeviceptr one : pieces) check("cuMemFree", cuMemFree(one));
  return 0;
}
