// Launches: work whose arguments name what it touches.
#include "interpose/hook_table.h"
#include "interpose/kernel_arguments.h"
#include "interpose/submission.h"

using namespace vhbm::interpose;

#define HOOK_LAUNCH(symbol, meaning)                                                               \
  CUresult symbol(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,   \
                  unsigned bz, unsigned shared, CUstream stream, void** parameters, void** extra) { \
    if (real().symbol == nullptr) return kNoDriver;                                                \
    Submission work;                                                                               \
    work.on(stream, DefaultStream::meaning);                                                       \
    work.launches();                                                                               \
    name_arguments(work, f, parameters, extra);                                                    \
    return real().symbol(f, gx, gy, gz, bx, by, bz, shared, stream, parameters, extra);            \
  }

#define HOOK_LAUNCH_EX(symbol, meaning)                                                              \
  CUresult symbol(const CUlaunchConfig* config, CUfunction f, void** parameters, void** extra) {     \
    if (real().symbol == nullptr) return kNoDriver;                                                  \
    Submission work;                                                                                 \
    if (config != nullptr) work.on(config->hStream, DefaultStream::meaning);                         \
    work.launches();                                                                                 \
    name_arguments(work, f, parameters, extra);                                                      \
    return real().symbol(config, f, parameters, extra);                                              \
  }

#define HOOK_COOPERATIVE(symbol, meaning)                                                          \
  CUresult symbol(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,   \
                  unsigned bz, unsigned shared, CUstream stream, void** parameters) {              \
    if (real().symbol == nullptr) return kNoDriver;                                                \
    Submission work;                                                                               \
    work.on(stream, DefaultStream::meaning);                                                       \
    work.launches();                                                                               \
    name_arguments(work, f, parameters, nullptr);                                                  \
    return real().symbol(f, gx, gy, gz, bx, by, bz, shared, stream, parameters);                   \
  }

// Other things a stream is given: no evidence, but work in flight all the same.
#define HOOK_STREAM_WORK(symbol, meaning, parameters, arguments) \
  CUresult symbol parameters {                                   \
    if (real().symbol == nullptr) return kNoDriver;              \
    Submission work;                                             \
    work.on(stream, DefaultStream::meaning);                     \
    return real().symbol arguments;                              \
  }
#define HOOK_STREAM_WORK_BOTH(symbol, parameters, arguments)   \
  HOOK_STREAM_WORK(symbol, legacy, parameters, arguments)      \
  HOOK_STREAM_WORK(symbol##_ptsz, per_thread, parameters, arguments)

extern "C" {

HOOK_LAUNCH(cuLaunchKernel, legacy)
HOOK_LAUNCH(cuLaunchKernel_ptsz, per_thread)
HOOK_LAUNCH_EX(cuLaunchKernelEx, legacy)
HOOK_LAUNCH_EX(cuLaunchKernelEx_ptsz, per_thread)
HOOK_COOPERATIVE(cuLaunchCooperativeKernel, legacy)
HOOK_COOPERATIVE(cuLaunchCooperativeKernel_ptsz, per_thread)

HOOK_STREAM_WORK_BOTH(cuLaunchHostFunc, (CUstream stream, CUhostFn function, void* data),
                      (stream, function, data))
HOOK_STREAM_WORK_BOTH(cuStreamAddCallback,
                      (CUstream stream, CUstreamCallback function, void* data, unsigned int flags),
                      (stream, function, data, flags))
HOOK_STREAM_WORK_BOTH(cuStreamWaitEvent, (CUstream stream, CUevent event, unsigned int flags),
                      (stream, event, flags))
HOOK_STREAM_WORK_BOTH(cuEventRecord, (CUevent event, CUstream stream), (event, stream))
HOOK_STREAM_WORK_BOTH(cuEventRecordWithFlags, (CUevent event, CUstream stream, unsigned int flags),
                      (event, stream, flags))
}
