// A plug-in that is linked with the driver: starts it, allocates MEBIBYTES in pieces and reads back
// what it wrote. 0 when all is well, else the error of CUDA, -1 where bytes are wrong.
#include <cuda.h>

#include <vector>

extern "C" [[gnu::visibility("default")]] int use_memory(int mebibytes) {
  constexpr std::size_t piece = 4 << 20;
  std::vector<CUdeviceptr> pieces(static_cast<std::size_t>(mebibytes) / 4);
  CUcontext context = nullptr;
  int wrong = cuInit(0);
  if (wrong == 0) wrong = cuDevicePrimaryCtxRetain(&context, 0);
  if (wrong == 0) wrong = cuCtxSetCurrent(context);
  for (std::size_t i = 0; i < pieces.size() && wrong == 0; ++i) {
    wrong = cuMemAlloc(&pieces[i], piece);
    if (wrong == 0) wrong = cuMemsetD32(pieces[i], static_cast<unsigned>(i) + 7, piece / 4);
  }
  for (std::size_t i = 0; i < pieces.size() && wrong == 0; ++i) {
    unsigned last = 0;
    wrong = cuMemcpyDtoH(&last, pieces[i] + piece - 4, 4);
    if (wrong == 0 && last != i + 7) wrong = -1;
  }
  for (CUdeviceptr one : pieces) {
    if (one != 0) cuMemFree(one);
  }
  cuDevicePrimaryCtxRelease(0);
  return wrong;
}
