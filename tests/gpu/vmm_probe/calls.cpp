// The calls that decide what a quiet GPU is and what a hook may cost.
#include <condition_variable>
#include <mutex>

#include "gpu_work.h"

namespace vmm_probe {
namespace {

// Holds a stream by a host function until released, or for five seconds.
class Held {
 public:
  explicit Held(CUstream stream) {
    must(cu.cuLaunchHostFunc(stream, &Held::wait, this), "cuLaunchHostFunc");
  }
  ~Held() {
    release();
    std::unique_lock lock(mutex_);  // the function must not run on after this is gone
    changed_.wait_for(lock, std::chrono::seconds(6), [this] { return ended_; });
  }
  void release() {
    std::lock_guard lock(mutex_);
    released_ = true;
    changed_.notify_all();
  }

 private:
  static void wait(void* self) {
    auto* held = static_cast<Held*>(self);
    std::unique_lock lock(held->mutex_);
    held->changed_.wait_for(lock, std::chrono::seconds(5), [held] { return held->released_; });
    held->ended_ = true;
    held->changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool released_ = false, ended_ = false;
};

// Nanoseconds a call, over many.
template <typename Call>
double nanoseconds_of(Call call, int times = 20'000) {
  for (int i = 0; i < 100; ++i) call();
  const Clock::time_point start = Clock::now();
  for (int i = 0; i < times; ++i) call();
  return microseconds_since(start) * 1e3 / times;
}

}  // namespace

// A stream has unfinished work, held by a host function; then the context's event is recorded. If
// the event is done at once, it did not see that work.
void context_event(Probe& probe) {
  if (!cu.cuCtxRecordEvent) throw Skipped("this driver has no cuCtxRecordEvent (CUDA 12.5)");
  const Stream non_blocking;
  CUstream blocking = nullptr;
  must(cu.cuStreamCreate(&blocking, CU_STREAM_DEFAULT), "cuStreamCreate");
  struct Case {
    const char* name;
    CUstream stream;
    bool own_thread;
  };
  std::string seen_by;
  for (const Case& c :
       {Case{"non-blocking stream", non_blocking, false}, Case{"blocking stream", blocking, false},
        Case{"legacy default stream", CU_STREAM_LEGACY, false},
        Case{"per-thread default stream", CU_STREAM_PER_THREAD, false},
        Case{"another thread's per-thread stream", CU_STREAM_PER_THREAD, true}}) {
    Event event(CU_EVENT_DISABLE_TIMING);
    std::unique_ptr<Held> held;
    std::string trouble;
    std::thread owner;
    std::atomic<bool> submitted{false}, finish{false};
    const auto submit = [&] {
      try {
        must(cu.cuCtxSetCurrent(probe.context()), "cuCtxSetCurrent");
        held = std::make_unique<Held>(c.stream);
      } catch (const Failure& failure) {
        trouble = failure.what();
      }
      submitted = true;
    };
    if (c.own_thread) {
      owner = std::thread([&] {
        submit();
        while (!finish) std::this_thread::yield();  // the stream lives as long as its thread
      });
      while (!submitted) std::this_thread::yield();
    } else {
      submit();
    }
    CUresult recorded = CUDA_SUCCESS, during = CUDA_SUCCESS, after = CUDA_SUCCESS;
    if (trouble.empty()) {
      recorded = cu.cuCtxRecordEvent(probe.context(), event);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      during = cu.cuEventQuery(event);
      held->release();
      const Clock::time_point start = Clock::now();
      do {
        after = cu.cuEventQuery(event);
      } while (after == CUDA_ERROR_NOT_READY && seconds_since(start) < 5);
      held.reset();
    }
    finish = true;
    if (owner.joinable()) owner.join();
    const bool sees = recorded == CUDA_SUCCESS && during == CUDA_ERROR_NOT_READY;
    Json row = {{"work_on", c.name},
                {"record", name_of(recorded)},
                {"query_while_held", name_of(during)},
                {"query_after_release", name_of(after)},
                {"sees_it", sees}};
    if (!trouble.empty()) row["trouble"] = trouble;
    probe.append("by_stream", row);
    seen_by += std::string(seen_by.empty() ? "" : ", ") + c.name + (sees ? " yes" : " no");
    probe.headline("sees work on: " + seen_by);
  }
  cu.cuStreamDestroy_v2(blocking);
}

void call_costs(Probe& probe) {
  Stream stream;
  Event event(CU_EVENT_DISABLE_TIMING);
  must(cu.cuEventRecord(event, stream), "cuEventRecord");
  stream.wait();
  const Buffer hbm(probe, Place::hbm, 2_MiB, 2_MiB);
  Json costs;
  const auto keep = [&](const char* name, double nanoseconds) {
    costs[std::string(name) + "_nanoseconds"] = nanoseconds;
    probe.record("costs", costs);
  };
  keep("cuStreamQuery_idle", nanoseconds_of([&] { cu.cuStreamQuery(stream); }));
  keep("cuEventQuery_done", nanoseconds_of([&] { cu.cuEventQuery(event); }));
  keep("cuEventRecord", nanoseconds_of([&] { cu.cuEventRecord(event, stream); }));
  stream.wait();
  must(cu.cuCtxSynchronize(), "cuCtxSynchronize");
  keep("cuCtxSynchronize_idle", nanoseconds_of([&] { cu.cuCtxSynchronize(); }, 2'000));
  CUcontext current = nullptr;
  keep("cuCtxGetCurrent", nanoseconds_of([&] { cu.cuCtxGetCurrent(&current); }));
  CUstreamCaptureStatus status;
  keep("cuStreamIsCapturing", nanoseconds_of([&] { cu.cuStreamIsCapturing(stream, &status); }));
  keep("cuThreadExchangeStreamCaptureMode", nanoseconds_of([&] {
         CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
         cu.cuThreadExchangeStreamCaptureMode(&mode);
       }));
  unsigned type = 0;
  keep("cuPointerGetAttribute", nanoseconds_of([&] {
         cu.cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, hbm.address());
       }));
  std::size_t free = 0, total = 0;
  keep("cuMemGetInfo", nanoseconds_of([&] { cu.cuMemGetInfo_v2(&free, &total); }, 1'000));
  {
    Held held(stream);
    keep("cuStreamQuery_busy", nanoseconds_of([&] { cu.cuStreamQuery(stream); }));
  }
  stream.wait();
  std::string headline = "cuStreamQuery idle " +
                         fixed(costs["cuStreamQuery_idle_nanoseconds"].get<double>(), 0) + " ns";
  if (probe.has_kernels()) {
    const CUfunction nothing = probe.kernel("nothing"), many = probe.kernel("many_parameters");
    std::vector<double> launches;
    for (int i = 0; i < 3000; ++i) {
      const Clock::time_point start = Clock::now();
      launch(nothing, 1, 32, stream);
      launches.push_back(microseconds_since(start));
      if (i % 100 == 99) stream.wait();  // a full queue would be measured otherwise
    }
    probe.record("launch_of_an_empty_kernel", spread("microseconds", launches));
    if (cu.cuFuncGetParamInfo) {
      std::size_t offset = 0, size = 0;
      keep("cuFuncGetParamInfo",
           nanoseconds_of([&] { cu.cuFuncGetParamInfo(many, 3, &offset, &size); }));
      Json layout;
      for (std::size_t i = 0; cu.cuFuncGetParamInfo(many, i, &offset, &size) == CUDA_SUCCESS; ++i)
        layout.push_back({{"offset_bytes", offset}, {"size_bytes", size}});
      probe.record("parameters_of_many_parameters", layout);
      headline += ", cuFuncGetParamInfo " +
                  fixed(costs["cuFuncGetParamInfo_nanoseconds"].get<double>(), 0) + " ns";
    } else {
      probe.record("cuFuncGetParamInfo", "this driver has none (CUDA 12.4)");
    }
    headline += ", launch " + fixed(median(launches), 1) + " us";
  } else {
    probe.record("kernels", probe.why_no_kernels());
  }
  // Last, since whatever it leaves behind must not be measured with the others.
  if (cu.cuCtxRecordEvent)
    keep("cuCtxRecordEvent",
         nanoseconds_of([&] { cu.cuCtxRecordEvent(probe.context(), event); }, 500));
  probe.headline(headline);
}

}  // namespace vmm_probe
