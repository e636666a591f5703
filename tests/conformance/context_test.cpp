// Contexts: the primary one, created ones, and each thread's stack of them.
#include <thread>

#include "on_device.h"

using namespace conformance;

namespace {

using Context = OnDevice;

CUresult create(CUcontext* context, CUdevice device) {
#if CUDA_VERSION >= 13000
  return cuCtxCreate(context, nullptr, 0, device);
#else
  return cuCtxCreate(context, 0, device);
#endif
}

TEST_F(Context, ThePrimaryContextIsOneHoweverOftenRetained) {
  CUcontext again = nullptr;
  OK(cuDevicePrimaryCtxRetain(&again, device_));
  EXPECT_EQ(again, context_);
  OK(cuDevicePrimaryCtxRelease(device_));
  EXPECT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);  // one reference is left
}

TEST_F(Context, ThePrimaryContextTellsThatItIsActive) {
  unsigned flags = 99;
  int active = 0;
  OK(cuDevicePrimaryCtxGetState(device_, &flags, &active));
  EXPECT_EQ(active, 1);
}

TEST_F(Context, ThePrimaryContextCannotBeDestroyedAsAnother) {
  EXPECT_NE(cuCtxDestroy(context_), CUDA_SUCCESS);  // which error, no document says
}

TEST_F(Context, ACreatedContextIsCurrent) {
  // cuda.h, cuCtxCreate: "the context is created … and associates it with the calling thread"
  CUcontext made = nullptr, current = nullptr;
  OK(create(&made, device_));
  OK(cuCtxGetCurrent(&current));
  EXPECT_EQ(current, made);
  OK(cuCtxDestroy(made));
}

TEST_F(Context, DestroyingTheCurrentContextPopsIt) {
  // cuda.h, cuCtxDestroy: "If ctx is current to the calling thread then ctx will also be popped"
  CUcontext made = nullptr, current = nullptr;
  OK(create(&made, device_));
  OK(cuCtxDestroy(made));
  OK(cuCtxGetCurrent(&current));
  EXPECT_EQ(current, context_);
}

TEST_F(Context, PopGivesWhatWasPushed) {
  CUcontext made = nullptr, popped = nullptr;
  OK(create(&made, device_));
  OK(cuCtxPushCurrent(context_));
  OK(cuCtxPopCurrent(&popped));
  EXPECT_EQ(popped, context_);
  OK(cuCtxPopCurrent(&popped));
  EXPECT_EQ(popped, made);
  OK(cuCtxDestroy(made));
}

TEST_F(Context, PoppingAnEmptyStackIsRefused) {
  std::thread([] {
    CUcontext popped = nullptr;
    EXPECT_EQ(cuCtxPopCurrent(&popped), CUDA_ERROR_INVALID_CONTEXT);
  }).join();
}

TEST_F(Context, AThreadStartsWithoutOne) {
  std::thread([] {
    CUcontext current = reinterpret_cast<CUcontext>(1);
    EXPECT_EQ(cuCtxGetCurrent(&current), CUDA_SUCCESS);
    EXPECT_EQ(current, nullptr);
  }).join();
}

TEST_F(Context, CallsThatNeedAContextSayThatThereIsNone) {
  std::thread([] {
    CUdeviceptr address = 0;
    CUstream stream = nullptr;
    CUdevice device = 0;
    EXPECT_EQ(cuMemAlloc(&address, 16), CUDA_ERROR_INVALID_CONTEXT);
    EXPECT_EQ(cuStreamCreate(&stream, 0), CUDA_ERROR_INVALID_CONTEXT);
    EXPECT_EQ(cuCtxSynchronize(), CUDA_ERROR_INVALID_CONTEXT);
    EXPECT_EQ(cuCtxGetDevice(&device), CUDA_ERROR_INVALID_CONTEXT);
  }).join();
}

TEST_F(Context, SettingNullUnbindsTheThread) {
  std::thread([this] {
    CUcontext current = nullptr;
    EXPECT_EQ(cuCtxSetCurrent(context_), CUDA_SUCCESS);
    EXPECT_EQ(cuCtxSetCurrent(nullptr), CUDA_SUCCESS);
    EXPECT_EQ(cuCtxGetCurrent(&current), CUDA_SUCCESS);
    EXPECT_EQ(current, nullptr);
  }).join();
}

TEST_F(Context, KnowsItsDevice) {
  CUdevice device = -1;
  OK(cuCtxGetDevice(&device));
  EXPECT_EQ(device, device_);
}

TEST_F(Context, IdsTellContextsApart) {
  CUcontext made = nullptr;
  OK(create(&made, device_));
  unsigned long long first = 0, second = 0;
  OK(cuCtxGetId(context_, &first));
  OK(cuCtxGetId(made, &second));
  EXPECT_NE(first, second);
  OK(cuCtxDestroy(made));
}

TEST_F(Context, MemoryOfADestroyedContextIsFreed) {
  CUcontext made = nullptr;
  std::size_t before = 0, after = 0, total = 0;
  OK(create(&made, device_));
  OK(cuCtxDestroy(made));  // what a driver keeps of a first context is kept by now
  OK(cuMemGetInfo(&before, &total));
  OK(create(&made, device_));
  CUdeviceptr address = 0;
  OK(cuMemAlloc(&address, 64 * kMiB));
  OK(cuCtxDestroy(made));
  OK(cuMemGetInfo(&after, &total));
  EXPECT_GE(after + 32 * kMiB, before);
}

TEST_F(Context, PriorityRangeHasTheGreatestNotAboveTheLeast) {
  // cuda.h, cuCtxGetStreamPriorityRange: "lower numbers imply greater priorities"
  int least = 0, greatest = 0;
  OK(cuCtxGetStreamPriorityRange(&least, &greatest));
  EXPECT_LE(greatest, least);
}

TEST_F(Context, SynchronizeWaitsForEveryStream) {
  CUstream one = make_stream(), two = make_stream();
  CUdeviceptr memory = allocate(kMiB);
  OK(launch(kernel("fill"), 4096, one, memory, 7u, 4096u));
  OK(launch(kernel("fill"), 4096, two, memory + 65536, 8u, 4096u));
  OK(cuCtxSynchronize());
  EXPECT_EQ(cuStreamQuery(one), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamQuery(two), CUDA_SUCCESS);
}

TEST_F(Context, ADestroyedOneSaysSoToOtherThreads) {
  // cuda.h, cuCtxDestroy: "will remain current to those threads, and attempting to access ctx from
  // those threads will result in the error CUDA_ERROR_CONTEXT_IS_DESTROYED"
  CUcontext made = nullptr, popped = nullptr;
  OK(create(&made, device_));
  OK(cuCtxPopCurrent(&popped));
  std::thread([&] {
    EXPECT_EQ(cuCtxSetCurrent(made), CUDA_SUCCESS);
    std::thread([&] { EXPECT_EQ(cuCtxDestroy(made), CUDA_SUCCESS); }).join();
    EXPECT_EQ(cuCtxSynchronize(), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    cuCtxSetCurrent(nullptr);
  }).join();
}

TEST_F(Context, PhysicalMemoryOutlivesTheContextItWasMadeIn) {
  // cuda.h, cuCtxDestroy: "will not destroy memory allocations by cuMemCreate()"
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, device_};
  std::size_t unit = 0;
  OK(cuMemGetAllocationGranularity(&unit, &properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
  CUcontext made = nullptr;
  CUmemGenericAllocationHandle handle = 0;
  OK(create(&made, device_));
  OK(cuMemCreate(&handle, unit, &properties, 0));
  OK(cuCtxDestroy(made));
  CUmemAllocationProp found{};
  EXPECT_EQ(cuMemGetAllocationPropertiesFromHandle(&found, handle), CUDA_SUCCESS);
  EXPECT_EQ(cuMemRelease(handle), CUDA_SUCCESS);
}

TEST_F(Context, ThePrimaryOneIsReleasedAsOftenAsRetained) {
  EXPECT_TRUE(passes_alone("PrimaryReleases"));
}

TEST(AloneContext, DISABLED_PrimaryReleases) {
  // cuda.h, cuDevicePrimaryCtxRelease: "Releasing a primary context that has not been previously
  // retained will fail with CUDA_ERROR_INVALID_CONTEXT."
  CUcontext context = nullptr;
  unsigned flags = 0;
  int active = -1;
  OK(cuInit(0));
  EXPECT_EQ(cuDevicePrimaryCtxRelease(0), CUDA_ERROR_INVALID_CONTEXT);
  OK(cuDevicePrimaryCtxRetain(&context, 0));
  OK(cuDevicePrimaryCtxRelease(0));
  OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
  EXPECT_EQ(active, 0);
}

class GreenContext : public OnDevice {
 protected:
  void SetUp() override {
    OnDevice::SetUp();
    CUdevResource all{}, part{};
    unsigned groups = 1;
    CUdevResourceDesc described = nullptr;
    OK(cuDeviceGetDevResource(device_, &all, CU_DEV_RESOURCE_TYPE_SM));
    OK(cuDevSmResourceSplitByCount(&part, &groups, &all, nullptr, 0, all.sm.smCount / 2));
    OK(cuDevResourceGenerateDesc(&described, &part, 1));
    OK(cuGreenCtxCreate(&green_, described, device_, CU_GREEN_CTX_DEFAULT_STREAM));
    OK(cuCtxFromGreenCtx(&as_context_, green_));
  }
  void TearDown() override {
    cuCtxSetCurrent(context_);
    if (green_ != nullptr) cuGreenCtxDestroy(green_);
    OnDevice::TearDown();
  }
  CUgreenCtx green_ = nullptr;
  CUcontext as_context_ = nullptr;
};

TEST_F(GreenContext, HasMemoryAndKernelsOfThePrimaryOne) {
  // cuda.h, cuCtxFromGreenCtx: "the converted context pContext is a normal primary context but with
  // the resources of the specified green context"
  const CUdeviceptr memory = allocate(4096);
  OK(cuCtxSetCurrent(as_context_));
  OK(launch(kernel("fill"), 1024, nullptr, memory, 6u, 1024u));
  OK(cuCtxSynchronize());
  CUdeviceptr made = 0;
  OK(cuMemAlloc(&made, 4096));
  allocations_.push_back(made);
  OK(cuMemcpyDtoD(made, memory, 4096));
  OK(cuCtxSynchronize());
  OK(cuCtxSetCurrent(context_));
  OK(cuGreenCtxDestroy(green_));
  green_ = nullptr;
  EXPECT_EQ(read(made, 1024), Words(1024, 6u));
}

#if CUDA_VERSION >= 12050
TEST_F(GreenContext, ItsStreamsAreItsOwn) {
  // cuStreamGetCtx: "the returned context is equivalent to the one returned by cuCtxFromGreenCtx()"
  // cuGreenCtxStreamCreate: "CU_STREAM_NON_BLOCKING: This must be specified."
  CUstream stream = nullptr;
  CUcontext of_stream = nullptr;
  EXPECT_EQ(cuGreenCtxStreamCreate(&stream, green_, CU_STREAM_DEFAULT, 0),
            CUDA_ERROR_INVALID_VALUE);
  OK(cuGreenCtxStreamCreate(&stream, green_, CU_STREAM_NON_BLOCKING, 0));
  OK(cuStreamGetCtx(stream, &of_stream));
  EXPECT_EQ(of_stream, as_context_);
  const CUdeviceptr memory = allocate(4096);
  OK(launch(kernel("fill"), 1024, stream, memory, 7u, 1024u));
  OK(cuStreamSynchronize(stream));
  EXPECT_EQ(read(memory, 1024), Words(1024, 7u));
  OK(cuStreamDestroy(stream));
}
#endif

TEST_F(GreenContext, KeepsThePrimaryOneAlive) {
  // cuGreenCtxCreate: "This API will retain the primary context on device dev"
  const CUdeviceptr memory = allocate(4096);
  OK(cuDevicePrimaryCtxRelease(device_));
  unsigned flags = 0;
  int active = 0;
  OK(cuDevicePrimaryCtxGetState(device_, &flags, &active));
  EXPECT_EQ(active, 1);
  OK(cuMemsetD8(memory, 1, 4096));
  OK(cuDevicePrimaryCtxRetain(&context_, device_));
}

TEST_F(GreenContext, IsDestroyedOnce) {
  OK(cuGreenCtxDestroy(green_));
  EXPECT_NE(cuCtxSetCurrent(as_context_), CUDA_SUCCESS);
  EXPECT_NE(cuGreenCtxDestroy(green_), CUDA_SUCCESS);
  green_ = nullptr;
}

}  // namespace
