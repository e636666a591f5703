// Whether the GPU feels it when some other range is remapped: the longest pause inside running
// kernels, and the time of launches, while another thread calls the driver. And what a kernel meets
// whose own memory is unmapped.
#include <algorithm>
#include <functional>

#include "gpu_work.h"

namespace vmm_probe {
namespace {

struct Mode {
  const char* name;
  std::function<void()> operation;  // one round of driver calls
};

// Repeats an operation on a thread of its own, until told to end; counts the rounds.
class Repeating {
 public:
  Repeating(Probe& probe, const std::function<void()>& operation)
      : thread_([this, &probe, &operation] {
          try {
            must(cu.cuCtxSetCurrent(probe.context()), "cuCtxSetCurrent");
            while (!done_ && operation) {
              operation();
              ++rounds_;
            }
          } catch (const Failure& failure) {
            trouble_ = failure.what();
          }
        }) {}
  ~Repeating() { end(); }
  std::size_t end() {
    done_ = true;
    if (thread_.joinable()) thread_.join();
    return rounds_;
  }
  const std::string& trouble() const { return trouble_; }  // after end()

 private:
  std::atomic<bool> done_{false};
  std::size_t rounds_ = 0;
  std::string trouble_;
  std::thread thread_;
};

// A kernel that notes its own pauses runs for 300 ms while the operation repeats.
Json pauses_while(Probe& probe, const Mode& mode, CUfunction watch, const Buffer& data) {
  const unsigned blocks = probe.multiprocessors();
  StopFlag stop(probe);
  Stream stream;
  PinnedMemory log(probe, blocks * 32);
  const auto* words = static_cast<const std::uint64_t*>(log.host());
  CUdeviceptr sum = 0;
  must(cu.cuMemAlloc_v2(&sum, 256), "cuMemAlloc");
  const Clock::time_point start = Clock::now();
  launch(watch, blocks, 256, stream, data.address(), std::uint64_t{data.bytes() / 16},
         log.address(), stop.address(), std::uint64_t{2'000'000'000}, sum);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // let every block start
  Repeating repeating(probe, mode.operation);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const std::size_t rounds = repeating.end();
  stop.raise();
  stream.wait();
  const double seconds = seconds_since(start);
  cu.cuMemFree_v2(sum);

  std::uint64_t longest = 0, pauses = 0, reads = 0, step = ~0ull;
  for (unsigned b = 0; b < blocks; ++b) {
    longest = std::max(longest, words[b * 4]);
    pauses += words[b * 4 + 1];
    reads += words[b * 4 + 2];
    step = std::min(step, words[b * 4 + 3]);
  }
  Json row = {{"operations_count", rounds},
              {"longest_pause_microseconds", double(longest) / 1e3},
              {"pauses_over_20_microseconds_count", pauses},
              {"reads_per_s", double(reads) / seconds},
              {"timer_step_nanoseconds", step}};
  if (!repeating.trouble().empty()) row["trouble"] = repeating.trouble();
  return row;
}

// Launch and wait for an empty kernel, again and again, while the operation repeats.
Json launches_while(Probe& probe, const Mode& mode, CUfunction nothing) {
  Stream stream;
  Repeating repeating(probe, mode.operation);
  std::vector<double> launches, round_trips;
  const Clock::time_point start = Clock::now();
  while (seconds_since(start) < 0.3) {
    const Clock::time_point before = Clock::now();
    launch(nothing, 1, 32, stream);
    launches.push_back(microseconds_since(before));
    stream.wait();
    round_trips.push_back(microseconds_since(before));
  }
  const std::size_t rounds = repeating.end();
  Json row = {{"operations_count", rounds},
              {"launch", spread("microseconds", launches)},
              {"launch_and_wait", spread("microseconds", round_trips)}};
  if (!repeating.trouble().empty()) row["trouble"] = repeating.trouble();
  return row;
}

}  // namespace

void unmap_stall(Probe& probe) {
  const CUfunction watch = probe.kernel("watch_pauses"), nothing = probe.kernel("nothing");
  const Buffer data(probe, Place::hbm, 256_MiB, 64_MiB);
  const std::vector<Frame> small = make_frames(probe, Place::hbm, 2_MiB, 64);
  const std::vector<Frame> large = make_frames(probe, Place::hbm, 64_MiB, 4);
  const std::vector<Frame> host =
      make_frames(probe, Place::host, 2_MiB, fitting(probe, Place::host, 128_MiB, 2_MiB) / 2_MiB);
  Window window(probe, 256_MiB);
  const auto remap = [&](const std::vector<Frame>& frames) {
    return [&window, &frames] {
      window.map_all(frames);
      window.unmap(0, frames.size() * frames.front().bytes());
    };
  };
  const Mode modes[] = {
      {"nothing", {}},
      {"remap one 2 MiB HBM chunk",
       [&] {
         window.map(0, small.front());
         window.allow(0, 2_MiB);
         window.unmap(0, 2_MiB);
       }},
      {"remap 64 x 2 MiB HBM", remap(small)},
      {"remap 4 x 64 MiB HBM", remap(large)},
      {"remap 2 MiB host frames", remap(host)},
      {"create and release a 2 MiB HBM frame", [&] { Frame frame(probe, Place::hbm, 2_MiB); }},
      {"create and release a 64 MiB host frame", [&] { Frame frame(probe, Place::host, 64_MiB); }},
  };
  double quiet = 0, worst = 0;
  for (const Mode& mode : modes) {
    Json row = {{"other_thread", mode.name}};
    row["running_kernel"] = pauses_while(probe, mode, watch, data);
    row["launches"] = launches_while(probe, mode, nothing);
    const double pause = row["running_kernel"]["longest_pause_microseconds"];
    (mode.operation ? worst : quiet) = std::max(mode.operation ? worst : quiet, pause);
    probe.append("by_operation", row);
    probe.headline("longest pause in a kernel: quiet " + fixed(quiet, 1) + " us, remapping " +
                   fixed(worst, 1) + " us");
  }
}

// A kernel streams through HBM, again and again, while another thread copies in either direction.
void copy_beside_kernels(Probe& probe) {
  const CUfunction read = probe.kernel("read_by_loads");
  const std::size_t bytes = fitting(probe, Place::host, 256_MiB, 128_MiB) / 2;
  const Buffer host(probe, Place::host, 2 * bytes, 64_MiB);
  const Buffer hbm(probe, Place::hbm, 2 * bytes, 64_MiB);
  const Buffer data(probe, Place::hbm, fitting(probe, Place::hbm, 2_GiB, 64_MiB), 64_MiB);
  CUdeviceptr sum = 0;
  must(cu.cuMemAlloc_v2(&sum, 256), "cuMemAlloc");
  Stream kernels, in, out;
  const auto copy = [&](bool inward, bool outward) {
    return [&, inward, outward] {
      if (inward) must(cu.cuMemcpyAsync(hbm.address(), host.address(), bytes, in), "cuMemcpyAsync");
      if (outward)
        must(cu.cuMemcpyAsync(host.address() + bytes, hbm.address() + bytes, bytes, out),
             "cuMemcpyAsync");
      in.wait();
      out.wait();
    };
  };
  const Mode modes[] = {{"nothing", {}},
                        {"copies host to HBM", copy(true, false)},
                        {"copies HBM to host", copy(false, true)},
                        {"copies both ways", copy(true, true)}};
  std::string headline;
  for (const Mode& mode : modes) {
    Repeating repeating(probe, mode.operation);
    const Clock::time_point start = Clock::now();
    std::vector<double> rate;
    for (const double seconds : gpu_seconds(probe, kernels, 400, [&] {
           launch(read, static_cast<unsigned>(probe.multiprocessors()) * 4, 256, kernels,
                  data.address(), std::uint64_t{data.bytes() / 16}, sum);
         }))
      rate.push_back(to_gib(data.bytes()) / seconds);
    const std::size_t rounds = repeating.end();
    const double copied = to_gib(bytes * rounds) * (&mode == &modes[3] ? 2 : 1);
    Json row = {{"other_thread", mode.name},
                {"kernel", spread("gib_per_s", rate)},
                {"copies_gib_per_s", copied / seconds_since(start)}};
    if (!repeating.trouble().empty()) row["trouble"] = repeating.trouble();
    probe.append("by_copies", row);
    headline +=
        (headline.empty() ? "" : ", ") + std::string(mode.name) + " " + fixed(median(rate), 0);
    probe.headline("the kernel reads GiB/s beside: " + headline);
  }
  cu.cuMemFree_v2(sum);
}

// The kernel reads the chunk for up to a second; meanwhile it is unmapped. The context is lost if
// the driver lets that happen, which is why this has a process of its own and comes last.
void unmap_under_kernel(Probe& probe) {
  const CUfunction watch = probe.kernel("watch_pauses");
  const Frame frame(probe, Place::hbm, 2_MiB);
  Window window(probe, 2_MiB);
  window.map(0, frame);
  window.allow(0, 2_MiB);
  StopFlag stop(probe);
  Stream stream;
  PinnedMemory log(probe, 4096);
  CUdeviceptr sum = 0;
  must(cu.cuMemAlloc_v2(&sum, 256), "cuMemAlloc");
  launch(watch, 4, 256, stream, window.base(), std::uint64_t{2_MiB / 16}, log.address(),
         stop.address(), std::uint64_t{1'000'000'000}, sum);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const CUresult running = cu.cuStreamQuery(stream);
  const Clock::time_point start = Clock::now();
  const CUresult unmapped = cu.cuMemUnmap(window.base(), 2_MiB);
  const double took = microseconds_since(start);
  const CUresult after = cu.cuStreamQuery(stream);
  probe.record("stream_before", name_of(running));
  probe.record("unmap_result", name_of(unmapped));
  probe.record("unmap_microseconds", took);
  probe.record("stream_right_after", name_of(after));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  stop.raise();
  const CUresult end = cu.cuStreamSynchronize(stream);
  probe.record("kernel_ended_with", name_of(end));
  probe.record("unmap_waited_for_the_kernel", took > 500'000);
  probe.headline("unmap: " + name_of(unmapped) + " in " + fixed(took, 0) +
                 " us; the kernel: " + name_of(end));
}

}  // namespace vmm_probe
