// Work for the GPU: streams, events, launches, and a GPU kept busy while something else is
// measured.
#pragma once

#include <atomic>
#include <memory>
#include <thread>

#include "memory.h"

namespace vmm_probe {

class Stream {
 public:
  Stream() { must(cu.cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING), "cuStreamCreate"); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { cu.cuStreamDestroy_v2(stream_); }
  operator CUstream() const { return stream_; }
  void wait() const { must(cu.cuStreamSynchronize(stream_), "cuStreamSynchronize"); }

 private:
  CUstream stream_ = nullptr;
};

class Event {
 public:
  explicit Event(unsigned flags = CU_EVENT_DEFAULT) {
    must(cu.cuEventCreate(&event_, flags), "cuEventCreate");
  }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { cu.cuEventDestroy_v2(event_); }
  operator CUevent() const { return event_; }

 private:
  CUevent event_ = nullptr;
};

template <typename... Args>
void launch(CUfunction kernel, unsigned blocks, unsigned threads, CUstream stream,
            const Args&... args) {
  void* parameters[] = {const_cast<Args*>(&args)..., nullptr};
  must(cu.cuLaunchKernel(kernel, blocks, 1, 1, threads, 1, 1, 0, stream, parameters, nullptr),
       "cuLaunchKernel");
}

// Seconds that `work`, submitted to `stream`, takes on the GPU: once to warm up, then the samples.
template <typename Work>
std::vector<double> gpu_seconds(Probe& probe, const Stream& stream, int samples, Work work) {
  Event start, stop;
  std::vector<double> seconds;
  work();
  stream.wait();
  for (int i = 0; i < samples && !(i >= 2 && probe.half_time_over()); ++i) {
    must(cu.cuEventRecord(start, stream), "cuEventRecord");
    work();
    must(cu.cuEventRecord(stop, stream), "cuEventRecord");
    must(cu.cuEventSynchronize(stop), "cuEventSynchronize");
    float milliseconds = 0;
    must(cu.cuEventElapsedTime(&milliseconds, start, stop), "cuEventElapsedTime");
    seconds.push_back(milliseconds / 1e3);
  }
  return seconds;
}

// A word that the host sets and a kernel watches.
class StopFlag {
 public:
  explicit StopFlag(Probe& probe) : memory_(probe, 4096) { clear(); }
  ~StopFlag() { raise(); }
  void raise() { word().store(1); }
  void clear() { word().store(0); }
  CUdeviceptr address() const { return memory_.address(); }

 private:
  std::atomic<std::uint32_t>& word() const {
    return *static_cast<std::atomic<std::uint32_t>*>(memory_.host());
  }
  PinnedMemory memory_;
};

// Keeps the GPU busy from construction to destruction, with work that ends by itself, so that a
// driver call which waits for it is slow, never stuck.
class Busy {
 public:
  enum class With {
    short_kernels,  // a queue, kept filled, of kernels that stream through HBM
    long_kernel,    // kernels of 50 ms each, one block a multiprocessor
  };
  Busy(Probe& probe, With with);
  ~Busy();

  // Ends the load; empty, or why it was not what it should have been.
  std::string end();

 private:
  StopFlag stop_;
  std::unique_ptr<Buffer> data_;
  Stream stream_;
  std::atomic<bool> done_{false}, running_{false};
  std::string trouble_;  // the feeder's, read after it ended
  std::thread feeder_;
};

}  // namespace vmm_probe
