// CUPTI's entries over the simulated driver's own record of when kernels ran. As NVIDIA's it serves
// one client, which is whoever subscribed, if somebody did; and as with NVIDIA's nobody is kept
// from registering callbacks, who has not asked first. With a driver that is not the simulated one
// every call that needs it answers CUPTI_ERROR_NOT_INITIALIZED.
#include <dlfcn.h>

#include <atomic>
#include <cstdlib>

#include "activity_buffers.h"

using simgpu::cupti::ActivityBuffers;

struct CUpti_Subscriber_st {
  std::atomic<bool> taken{false};
};

namespace {

constinit CUpti_Subscriber_st the_subscriber;

// SIMGPU_CUPTI_VERSION, for tests of what accepts only some.
std::uint32_t claimed_version() {
  if (const char* text = std::getenv("SIMGPU_CUPTI_VERSION"); text != nullptr) {
    return static_cast<std::uint32_t>(std::strtoul(text, nullptr, 10));
  }
  // cupti_version.h: xxyyzz since CUDA 13.0; 22 is 12.4's.
  return SIMGPU_CUDA_MAJOR >= 13 ? SIMGPU_CUDA_MAJOR * 10'000 + SIMGPU_CUDA_MINOR * 100 : 22;
}

void listen(const SimgpuKernelRun* run) {
  ActivityBuffers::get().record(*run);
}

// Asks the driver that the process has, or loads it.
bool is_initialised() {
  static const bool listens = [] {
    void* driver = dlopen("libcuda.so.1", RTLD_NOW);
    if (driver == nullptr) return false;
    const auto set = reinterpret_cast<decltype(&simgpu_set_kernel_listener)>(
        dlsym(driver, "simgpu_set_kernel_listener"));
    if (set != nullptr) set(&listen);
    return set != nullptr;
  }();
  return listens;
}

bool is_kernels(CUpti_ActivityKind kind) {
  return kind == CUPTI_ACTIVITY_KIND_KERNEL || kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL;
}

CUptiResult enable(CUpti_ActivityKind kind, bool enabled) {
  if (!is_initialised()) return CUPTI_ERROR_NOT_INITIALIZED;
  if (!is_kernels(kind)) return CUPTI_ERROR_INVALID_KIND;
  ActivityBuffers::get().enable(kind, enabled);
  return CUPTI_SUCCESS;
}

}  // namespace

extern "C" {

CUptiResult cuptiGetVersion(uint32_t* version) {
  if (version == nullptr) return CUPTI_ERROR_INVALID_PARAMETER;
  *version = claimed_version();
  return CUPTI_SUCCESS;
}

CUptiResult cuptiGetResultString(CUptiResult result, const char** text) {
  if (text == nullptr) return CUPTI_ERROR_INVALID_PARAMETER;
  switch (result) {
#define RESULT(name) \
  case name:         \
    *text = #name;   \
    return CUPTI_SUCCESS
    RESULT(CUPTI_SUCCESS);
    RESULT(CUPTI_ERROR_INVALID_PARAMETER);
    RESULT(CUPTI_ERROR_INVALID_OPERATION);
    RESULT(CUPTI_ERROR_MAX_LIMIT_REACHED);
    RESULT(CUPTI_ERROR_NOT_INITIALIZED);
    RESULT(CUPTI_ERROR_INVALID_KIND);
    RESULT(CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED);
    RESULT(CUPTI_ERROR_UNKNOWN);
#undef RESULT
  }
  return CUPTI_ERROR_INVALID_PARAMETER;
}

CUptiResult cuptiGetTimestamp(uint64_t* timestamp) {
  if (timestamp == nullptr) return CUPTI_ERROR_INVALID_PARAMETER;
  *timestamp = ActivityBuffers::get().now();
  return CUPTI_SUCCESS;
}

CUptiResult cuptiSubscribe(CUpti_SubscriberHandle* subscriber, CUpti_CallbackFunc, void*) {
  if (subscriber == nullptr) return CUPTI_ERROR_INVALID_PARAMETER;
  if (!is_initialised()) return CUPTI_ERROR_NOT_INITIALIZED;
  if (the_subscriber.taken.exchange(true)) return CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED;
  *subscriber = &the_subscriber;
  return CUPTI_SUCCESS;
}

CUptiResult cuptiUnsubscribe(CUpti_SubscriberHandle subscriber) {
  if (!is_initialised()) return CUPTI_ERROR_NOT_INITIALIZED;
  if (subscriber != &the_subscriber || !the_subscriber.taken.exchange(false)) {
    return CUPTI_ERROR_INVALID_PARAMETER;
  }
  return CUPTI_SUCCESS;
}

CUptiResult cuptiActivityRegisterCallbacks(CUpti_BuffersCallbackRequestFunc requested,
                                           CUpti_BuffersCallbackCompleteFunc completed) {
  if (requested == nullptr || completed == nullptr) return CUPTI_ERROR_INVALID_PARAMETER;
  ActivityBuffers::get().set_callbacks(requested, completed);
  return CUPTI_SUCCESS;
}

CUptiResult cuptiActivityEnable(CUpti_ActivityKind kind) {
  return enable(kind, true);
}

CUptiResult cuptiActivityDisable(CUpti_ActivityKind kind) {
  return enable(kind, false);
}

CUptiResult cuptiActivityFlushAll(uint32_t flag) {
  if (!is_initialised()) return CUPTI_ERROR_NOT_INITIALIZED;
  if (!ActivityBuffers::get().has_callbacks()) return CUPTI_ERROR_INVALID_OPERATION;
  ActivityBuffers::get().flush((flag & CUPTI_ACTIVITY_FLAG_FLUSH_FORCED) != 0);
  return CUPTI_SUCCESS;
}

CUptiResult cuptiActivityGetNextRecord(uint8_t* buffer, size_t valid, CUpti_Activity** record) {
  if (buffer == nullptr || record == nullptr) return CUPTI_ERROR_INVALID_PARAMETER;
  uint8_t* const next = *record == nullptr
                            ? buffer
                            : reinterpret_cast<uint8_t*>(*record) + ActivityBuffers::record_size;
  if (next + ActivityBuffers::record_size > buffer + valid) return CUPTI_ERROR_MAX_LIMIT_REACHED;
  *record = reinterpret_cast<CUpti_Activity*>(next);
  return CUPTI_SUCCESS;
}

CUptiResult cuptiActivityGetNumDroppedRecords(CUcontext, uint32_t, size_t* dropped) {
  if (!is_initialised()) return CUPTI_ERROR_NOT_INITIALIZED;
  if (dropped == nullptr) return CUPTI_ERROR_INVALID_PARAMETER;
  *dropped = ActivityBuffers::get().dropped();
  return CUPTI_SUCCESS;
}
}
