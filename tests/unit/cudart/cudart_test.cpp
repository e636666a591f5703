// The simulated runtime: what it does beyond handing calls to the driver. Each test has a process
// of its own, so that it meets the runtime before its first call.
#include <cuda.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <thread>
#include <vector>

#include "vector_math.h"

// Variants that the headers hide behind macros.
extern "C" cudaError_t cudaStreamBeginCapture_ptsz(cudaStream_t stream, cudaStreamCaptureMode mode);
extern "C" CUresult cuCtxCreate_v2(CUcontext* context, unsigned flags, CUdevice device);

namespace {

#define EXPECT_OK(call) EXPECT_EQ(call, cudaSuccess)
#define ASSERT_OK(call) ASSERT_EQ(call, cudaSuccess)

cudaKernel_t load_kernel(const char* name) {
  cudaLibrary_t library = nullptr;
  cudaKernel_t kernel = nullptr;
  const void* image = vector_math_images().back().data;
  EXPECT_OK(cudaLibraryLoadData(&library, image, nullptr, nullptr, 0, nullptr, nullptr, 0));
  EXPECT_OK(cudaLibraryGetKernel(&kernel, library, name));
  return kernel;
}

// Where the driver of this process writes the requests it gets.
class TraceFile {
 public:
  TraceFile() { setenv("SIMGPU_TRACE_PROC", path.c_str(), 1); }
  ~TraceFile() { std::remove(path.c_str()); }
  const std::string path = testing::TempDir() + "/cudart_test." + std::to_string(getpid());
};
const TraceFile trace_file;

struct Request {
  std::string name;
  int version;
  unsigned long long flags;
  std::string answer, caller;
};
std::vector<Request> trace() {
  std::vector<Request> requests;
  std::ifstream file(trace_file.path);
  for (Request r; file >> r.name >> r.version >> r.flags >> r.answer >> r.caller;) {
    requests.push_back(r);
  }
  return requests;
}

TEST(Cudart, AsksForCuGetProcAddressFirstAndThenForAllElse) {
  int count = 0;
  ASSERT_OK(cudaGetDeviceCount(&count));
  const std::vector<Request> requests = trace();
  ASSERT_GT(requests.size(), 50u);
  EXPECT_EQ(requests[0].name, "cuGetProcAddress");
  EXPECT_EQ(requests[0].version, 12000);
  EXPECT_EQ(requests[0].answer, "cuGetProcAddress_v2");
  for (const Request& request : requests) {
    EXPECT_NE(request.answer, "-") << request.name << " " << request.version;
    EXPECT_NE(request.caller.find("libcudart.so"), std::string::npos) << request.caller;
  }
}

TEST(Cudart, AsksForThePerThreadVariantsByFlag) {
  int count = 0;
  ASSERT_OK(cudaGetDeviceCount(&count));
  bool legacy = false, per_thread = false;
  for (const Request& request : trace()) {
    if (request.name != "cuLaunchKernel") continue;
    legacy |= request.version == 4000 && request.flags == 0 && request.answer == "cuLaunchKernel";
    per_thread |=
        request.version == 7000 && request.flags == 2 && request.answer == "cuLaunchKernel_ptsz";
  }
  EXPECT_TRUE(legacy && per_thread);
}

TEST(Cudart, ConnectsOnceHoweverManyThreadsBegin) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) threads.emplace_back([] { EXPECT_OK(cudaFree(nullptr)); });
  for (std::thread& thread : threads) thread.join();
  int first_requests = 0;
  for (const Request& request : trace()) first_requests += request.name == "cuGetProcAddress";
  EXPECT_EQ(first_requests, 1);
}

TEST(Cudart, MakesThePrimaryContextCurrentAtTheFirstCallThatNeedsOne) {
  CUcontext before = nullptr, after = nullptr, primary = nullptr;
  int count = 0;
  ASSERT_OK(cudaGetDeviceCount(&count));
  ASSERT_EQ(cuCtxGetCurrent(&before), CUDA_SUCCESS);
  EXPECT_EQ(before, nullptr);
  ASSERT_OK(cudaFree(nullptr));
  ASSERT_EQ(cuCtxGetCurrent(&after), CUDA_SUCCESS);
  ASSERT_EQ(cuDevicePrimaryCtxRetain(&primary, 0), CUDA_SUCCESS);
  EXPECT_EQ(after, primary);
  EXPECT_EQ(cuDevicePrimaryCtxRelease(0), CUDA_SUCCESS);
}

TEST(Cudart, UsesTheContextThatTheProgramMadeCurrent) {
  CUcontext own = nullptr, current = nullptr;
  ASSERT_EQ(cuInit(0), CUDA_SUCCESS);
  ASSERT_EQ(cuCtxCreate_v2(&own, 0, 0), CUDA_SUCCESS);
  void* memory = nullptr;
  ASSERT_OK(cudaMalloc(&memory, 1 << 20));
  ASSERT_EQ(cuCtxGetCurrent(&current), CUDA_SUCCESS);
  EXPECT_EQ(current, own);
  EXPECT_OK(cudaFree(memory));
}

TEST(Cudart, GivesNullForNoBytesAndFreesNull) {
  void* memory = &memory;
  EXPECT_OK(cudaMalloc(&memory, 0));
  EXPECT_EQ(memory, nullptr);
  EXPECT_OK(cudaFree(memory));
  EXPECT_OK(cudaFreeHost(nullptr));
}

TEST(Cudart, KeepsTheLastErrorForItsThreadUntilItIsRead) {
  void* memory = nullptr;
  EXPECT_EQ(cudaMalloc(&memory, 1ull << 40), cudaErrorMemoryAllocation);
  EXPECT_OK(cudaFree(nullptr));  // success does not hide it
  std::thread([] { EXPECT_OK(cudaGetLastError()); }).join();
  EXPECT_EQ(cudaPeekAtLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_OK(cudaGetLastError());
}

TEST(Cudart, KeepsAnErrorThatKilledTheContextAlsoAfterItIsRead) {
  cudaKernel_t kernel = load_kernel("vector_add");
  void *freed = nullptr, *kept = nullptr;
  ASSERT_OK(cudaMalloc(&freed, 4 << 20));
  ASSERT_OK(cudaFree(freed));
  int n = 1;
  void* parameters[] = {&freed, &freed, &freed, &n};
  ASSERT_OK(cudaLaunchKernel(kernel, dim3(1), dim3(32), parameters, 0, nullptr));
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaMalloc(&kept, 1), cudaErrorIllegalAddress);
}

TEST(Cudart, NamesErrors) {
  EXPECT_STREQ(cudaGetErrorName(cudaErrorMemoryAllocation), "cudaErrorMemoryAllocation");
  EXPECT_STREQ(cudaGetErrorString(cudaErrorMemoryAllocation), "out of memory");
  EXPECT_STREQ(cudaGetErrorName(static_cast<cudaError_t>(12345)), "unrecognized error code");
}

TEST(Cudart, RefusesLaunchesOfNothing) {
  cudaKernel_t kernel = load_kernel("vector_add");
  EXPECT_EQ(cudaLaunchKernel(kernel, dim3(0), dim3(1), nullptr, 0, nullptr),
            cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaLaunchKernel(nullptr, dim3(1), dim3(1), nullptr, 0, nullptr),
            cudaErrorInvalidDeviceFunction);
}

TEST(Cudart, RefusesCopiesInNoDirectionAndRowsLongerThanTheirPitch) {
  char bytes[64] = {};
  EXPECT_EQ(cudaMemcpy(bytes, bytes, 1, static_cast<cudaMemcpyKind>(9)),
            cudaErrorInvalidMemcpyDirection);
  EXPECT_EQ(cudaMemcpy2D(bytes, 4, bytes, 8, 8, 1, cudaMemcpyHostToHost),
            cudaErrorInvalidPitchValue);
}

TEST(Cudart, CopiesRowsBothWays) {
  char in[3][5] = {{1, 2, 3, 4, 5}, {6, 7, 8, 9, 10}, {11, 12, 13, 14, 15}}, out[3][4] = {};
  void* memory = nullptr;
  size_t pitch = 0;
  ASSERT_OK(cudaMallocPitch(&memory, &pitch, 4, 3));
  EXPECT_GE(pitch, 4u);
  ASSERT_OK(cudaMemcpy2D(memory, pitch, in, 5, 4, 3, cudaMemcpyHostToDevice));
  ASSERT_OK(cudaMemset2D(static_cast<char*>(memory) + pitch, pitch, 99, 2, 1));
  ASSERT_OK(cudaMemcpy2D(out, 4, memory, pitch, 4, 3, cudaMemcpyDefault));
  EXPECT_EQ(out[0][3], 4);
  EXPECT_EQ(out[1][1], 99);
  EXPECT_EQ(out[1][2], 8);
  EXPECT_EQ(out[2][0], 11);
}

TEST(Cudart, TellsWhatAPointerPointsAt) {
  void *device = nullptr, *pinned = nullptr;
  int local = 0;
  cudaPointerAttributes attributes{};
  ASSERT_OK(cudaMalloc(&device, 4096));
  ASSERT_OK(cudaMallocHost(&pinned, 4096));
  ASSERT_OK(cudaPointerGetAttributes(&attributes, device));
  EXPECT_EQ(attributes.type, cudaMemoryTypeDevice);
  EXPECT_EQ(attributes.device, 0);
  EXPECT_EQ(attributes.devicePointer, device);
  ASSERT_OK(cudaPointerGetAttributes(&attributes, pinned));
  EXPECT_EQ(attributes.type, cudaMemoryTypeHost);
  EXPECT_EQ(attributes.hostPointer, pinned);
  ASSERT_OK(cudaPointerGetAttributes(&attributes, &local));
  EXPECT_EQ(attributes.type, cudaMemoryTypeUnregistered);
  EXPECT_EQ(attributes.device, cudaInvalidDeviceId);
  EXPECT_EQ(attributes.hostPointer, &local);
}

TEST(Cudart, TakesNullAsTheThreadsOwnStreamOnlyInThePerThreadVariants) {
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeRelaxed),
            cudaErrorStreamCaptureUnsupported);
  ASSERT_OK(cudaStreamBeginCapture_ptsz(nullptr, cudaStreamCaptureModeRelaxed));
  EXPECT_OK(cudaStreamEndCapture(cudaStreamPerThread, &graph));
  EXPECT_OK(cudaGraphDestroy(graph));
}

TEST(Cudart, HandsOutDriverFunctionsByVersion) {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult status{};
  ASSERT_OK(
      cudaGetDriverEntryPointByVersion("cuMemAlloc", &function, 12000, cudaEnableDefault, &status));
  EXPECT_EQ(status, cudaDriverEntryPointSuccess);
  EXPECT_EQ(function, dlsym(dlopen("libcuda.so.1", RTLD_NOW), "cuMemAlloc_v2"));
  ASSERT_OK(cudaGetDriverEntryPointByVersion("cuNoSuchThing", &function, 12000, cudaEnableDefault,
                                             &status));
  EXPECT_EQ(status, cudaDriverEntryPointSymbolNotFound);
}

TEST(Cudart, DescribesTheDevice) {
  cudaDeviceProp properties{};
  int value = 0;
  ASSERT_OK(cudaGetDeviceProperties(&properties, 0));
  EXPECT_EQ(properties.totalGlobalMem, 64u << 20);
  EXPECT_EQ(properties.major, 9);
  EXPECT_EQ(properties.warpSize, 32);
  ASSERT_OK(cudaDeviceGetAttribute(&value, cudaDevAttrMaxThreadsPerBlock, 0));
  EXPECT_EQ(value, properties.maxThreadsPerBlock);
  EXPECT_EQ(cudaGetDeviceProperties(&properties, 7), cudaErrorInvalidDevice);
}

TEST(Cudart, TimesWhatLiesBetweenEvents) {
  cudaEvent_t begin = nullptr, end = nullptr;
  float milliseconds = -1;
  ASSERT_OK(cudaEventCreate(&begin));
  ASSERT_OK(cudaEventCreate(&end));
  ASSERT_OK(cudaEventRecord(begin, nullptr));
  ASSERT_OK(cudaEventRecord(end, nullptr));
  ASSERT_OK(cudaEventSynchronize(end));
  ASSERT_OK(cudaEventElapsedTime(&milliseconds, begin, end));
  EXPECT_GE(milliseconds, 0);
}

TEST(Cudart, StartsAnewAfterADeviceReset) {
  void* memory = nullptr;
  size_t free_before = 0, free_after = 0, total = 0;
  ASSERT_OK(cudaMemGetInfo(&free_before, &total));
  ASSERT_OK(cudaMalloc(&memory, 8 << 20));
  ASSERT_OK(cudaDeviceReset());
  ASSERT_OK(cudaMemGetInfo(&free_after, &total));
  EXPECT_EQ(free_after, free_before);
  EXPECT_OK(cudaMalloc(&memory, 8 << 20));
}

TEST(Cudart, FindsItsWayBackInAThreadWhoseContextAnotherOneReset) {
  ASSERT_OK(cudaFree(nullptr));
  std::thread([] { EXPECT_OK(cudaDeviceReset()); }).join();
  void* memory = nullptr;
  EXPECT_OK(cudaMalloc(&memory, 4096));
}

TEST(Cudart, AllocatesFromPoolsInTheOrderOfAStream) {
  cudaStream_t stream = nullptr;
  cudaMemPool_t pool = nullptr;
  ASSERT_OK(cudaStreamCreate(&stream));
  ASSERT_OK(cudaDeviceGetDefaultMemPool(&pool, 0));
  unsigned long long threshold = ~0ull, used = 0;
  EXPECT_OK(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &threshold));
  void* memory = nullptr;
  ASSERT_OK(cudaMallocAsync(&memory, 4096, stream));
  EXPECT_OK(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used));
  EXPECT_EQ(used, 4096u);
  EXPECT_OK(cudaMemsetAsync(memory, 0x21, 4096, stream));
  std::vector<unsigned char> bytes(4096);
  EXPECT_OK(cudaMemcpyAsync(bytes.data(), memory, 4096, cudaMemcpyDeviceToHost, stream));
  EXPECT_OK(cudaFreeAsync(memory, stream));
  EXPECT_OK(cudaStreamSynchronize(stream));
  EXPECT_EQ(bytes, std::vector<unsigned char>(4096, 0x21));
  EXPECT_OK(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used));
  EXPECT_EQ(used, 0u);
}

TEST(Cudart, SharesWhatCudaMallocGave) {
  void* memory = nullptr;
  cudaIpcMemHandle_t handle{};
  ASSERT_OK(cudaMalloc(&memory, 4096));
  EXPECT_OK(cudaIpcGetMemHandle(&handle, memory));
  void* opened = nullptr;
  EXPECT_EQ(cudaIpcOpenMemHandle(&opened, handle, 0), cudaErrorInvalidValue);
  EXPECT_EQ(cudaIpcCloseMemHandle(memory), cudaErrorInvalidValue);
  EXPECT_OK(cudaFree(memory));
}

}  // namespace
