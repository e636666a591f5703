// The virtual clock against the profile's arithmetic, done here from the profile's file.
#include <array>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "cost_kernels.h"
#include "device.h"
#include "profile_file.h"

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

void expect_within_5_percent(double seconds, double expected) {
  EXPECT_NEAR(seconds, expected, expected * 0.05);
}

class Cost : public Device {
 protected:
  void SetUp() override {
    Device::SetUp();
    for (CUstream& stream : streams_) {
      ASSERT_EQ(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
    }
    ASSERT_EQ(cuMemAlloc(&device_, kBuffer), CUDA_SUCCESS);
    ASSERT_EQ(cuMemAlloc(&other_device_, kBuffer), CUDA_SUCCESS);
    ASSERT_EQ(cuMemAllocHost(&host_, kBuffer), CUDA_SUCCESS);
    ASSERT_EQ(cuMemAllocHost(&other_host_, kBuffer), CUDA_SUCCESS);
    ASSERT_EQ(gpu_image::load(cost_kernels_images(), &module_), CUDA_SUCCESS);
    ASSERT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
  }
  void TearDown() override {
    for (CUstream stream : streams_) cuStreamDestroy(stream);
    cuMemFree(device_);
    cuMemFree(other_device_);
    cuMemFreeHost(host_);
    cuMemFreeHost(other_host_);
    cuModuleUnload(module_);
    Device::TearDown();
  }

  CUevent mark(CUstream stream) {
    CUevent event = nullptr;
    EXPECT_EQ(cuEventCreate(&event, CU_EVENT_DEFAULT), CUDA_SUCCESS);
    EXPECT_EQ(cuEventRecord(event, stream), CUDA_SUCCESS);
    return event;
  }
  static double seconds(CUevent begin, CUevent end) {
    float milliseconds = 0;
    EXPECT_EQ(cuEventSynchronize(begin), CUDA_SUCCESS);
    EXPECT_EQ(cuEventSynchronize(end), CUDA_SUCCESS);
    EXPECT_EQ(cuEventElapsedTime(&milliseconds, begin, end), CUDA_SUCCESS);
    return milliseconds * 1e-3;
  }
  // Of what `work` submits to the first stream.
  template <typename Work>
  double time_of(Work work) {
    const CUevent begin = mark(streams_[0]);
    work();
    return seconds(begin, mark(streams_[0]));
  }
  void launch(const char* name, std::vector<void*> parameters, CUstream stream,
              unsigned blocks = 1) {
    CUfunction function = nullptr;
    ASSERT_EQ(cuModuleGetFunction(&function, module_, name), CUDA_SUCCESS);
    ASSERT_EQ(
        cuLaunchKernel(function, blocks, 1, 1, 1, 1, 1, 0, stream, parameters.data(), nullptr),
        CUDA_SUCCESS);
  }
  void launch_traffic(CUdeviceptr read, std::size_t read_bytes, CUdeviceptr written,
                      std::size_t written_bytes, CUstream stream) {
    launch("traffic", {&read, &read_bytes, &written, &written_bytes}, stream);
  }

  // Chunks mapped side by side, as a pager makes them.
  struct Chunks {
    std::vector<CUmemGenericAllocationHandle> handles;
    CUdeviceptr begin = 0;
    std::size_t size = 0;
  };
  Chunks make_chunks(CUmemLocationType where, std::size_t count) {
    Chunks chunks;
    chunks.size = count * kPage;
    for (std::size_t i = 0; i < count; ++i) {
      EXPECT_EQ(create(&chunks.handles.emplace_back(), where, kPage), CUDA_SUCCESS);
    }
    EXPECT_EQ(cuMemAddressReserve(&chunks.begin, chunks.size, 0, 0, 0), CUDA_SUCCESS);
    return chunks;
  }
  static void map(const Chunks& chunks) {
    for (std::size_t i = 0; i < chunks.handles.size(); ++i) {
      EXPECT_EQ(cuMemMap(chunks.begin + i * kPage, kPage, 0, chunks.handles[i], 0), CUDA_SUCCESS);
    }
  }
  static void set_access(const Chunks& chunks) {
    const CUmemAccessDesc access{{CU_MEM_LOCATION_TYPE_DEVICE, 0},
                                 CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    EXPECT_EQ(cuMemSetAccess(chunks.begin, chunks.size, &access, 1), CUDA_SUCCESS);
  }
  static void release(const Chunks& chunks) {
    for (auto handle : chunks.handles) EXPECT_EQ(cuMemRelease(handle), CUDA_SUCCESS);
    EXPECT_EQ(cuMemAddressFree(chunks.begin, chunks.size), CUDA_SUCCESS);
  }
  // Of calls, on the host's clock.
  template <typename Calls>
  static double host_time_of(Calls calls) {
    const double begin = simgpu_seconds();
    calls();
    return simgpu_seconds() - begin;
  }

  static constexpr std::size_t kBuffer = 64 * kMiB;
  const ProfileFile profile_{std::getenv("SIMGPU_PROFILE")};
  std::array<CUstream, 3> streams_{};
  CUdeviceptr device_ = 0, other_device_ = 0;
  void *host_ = nullptr, *other_host_ = nullptr;
  CUmodule module_ = nullptr;
};

TEST_F(Cost, ACopyTakesItsStartAndItsBytesOverTheLink) {
  for (const std::size_t bytes : {std::size_t{4096}, std::size_t{65536}, 2 * kMiB, 64 * kMiB}) {
    const double in = time_of([&] { cuMemcpyHtoDAsync(device_, host_, bytes, streams_[0]); });
    const double out = time_of([&] { cuMemcpyDtoHAsync(host_, device_, bytes, streams_[0]); });
    const double start = profile_.cost("copy.start_us");
    expect_within_5_percent(in, start + bytes / profile_.rate("link.to_device_GBps"));
    expect_within_5_percent(out, start + bytes / profile_.rate("link.to_host_GBps"));
  }
}

TEST_F(Cost, CopiesOfOneDirectionQueueOnItsEngine) {
  constexpr std::size_t bytes = 16 * kMiB;
  const CUevent begin = mark(streams_[0]);
  std::vector<CUevent> ends;
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    cuMemcpyHtoDAsync(device_ + i * bytes, host_, bytes, streams_[i]);
    ends.push_back(mark(streams_[i]));
  }
  const double one = profile_.cost("copy.start_us") + bytes / profile_.rate("link.to_device_GBps");
  for (std::size_t i = 0; i < ends.size(); ++i) {
    expect_within_5_percent(seconds(begin, ends[i]), one * (i + 1));
  }
}

TEST_F(Cost, BothDirectionsAtOnceShareWhatTheLinkDoesThen) {
  const CUevent begin = mark(streams_[0]);
  cuMemcpyHtoDAsync(device_, host_, kBuffer, streams_[0]);
  cuMemcpyDtoHAsync(other_host_, other_device_, kBuffer, streams_[1]);
  const CUevent in = mark(streams_[0]), out = mark(streams_[1]);
  const double expected =
      profile_.cost("copy.start_us") + 2 * kBuffer / profile_.rate("link.both_GBps");
  expect_within_5_percent(seconds(begin, in), expected);
  expect_within_5_percent(seconds(begin, out), expected);
}

TEST_F(Cost, WhatIsLeftAloneOnTheLinkGetsItsWholeRate) {
  const CUevent begin = mark(streams_[0]);
  cuMemcpyHtoDAsync(device_, host_, kBuffer, streams_[0]);
  cuMemcpyDtoHAsync(other_host_, other_device_, kBuffer / 2, streams_[1]);
  const double both = 2 * (kBuffer / 2) / profile_.rate("link.both_GBps");
  const double alone = kBuffer / 2 / profile_.rate("link.to_device_GBps");
  expect_within_5_percent(seconds(begin, mark(streams_[0])),
                          profile_.cost("copy.start_us") + both + alone);
}

TEST_F(Cost, AKernelReadsDeviceMemoryAtItsBandwidth) {
  const double time = time_of([&] { launch_traffic(device_, kBuffer, 0, 0, streams_[0]); });
  // The host's launch comes after the first mark, and the kernel after the launch.
  expect_within_5_percent(time, profile_.cost("launch.call_us") +
                                    profile_.cost("launch.kernel_us") +
                                    kBuffer / profile_.rate("hbm.bandwidth_GBps"));
}

TEST_F(Cost, AKernelReadsAndWritesHostMappedMemoryOverTheLink) {
  const Chunks chunks = make_chunks(CU_MEM_LOCATION_TYPE_HOST_NUMA, 8);
  map(chunks);
  set_access(chunks);
  const double fixed = profile_.cost("launch.call_us") + profile_.cost("launch.kernel_us");
  const double read =
      time_of([&] { launch_traffic(chunks.begin, chunks.size, 0, 0, streams_[0]); });
  const double written =
      time_of([&] { launch_traffic(0, 0, chunks.begin, chunks.size, streams_[0]); });
  std::size_t part = kPage;
  CUdeviceptr begin = chunks.begin;
  const double by_blocks = time_of([&] {
    launch("traffic_by_blocks", {&begin, &part}, streams_[0], 8);
  });
  expect_within_5_percent(read, fixed + chunks.size / profile_.rate("link.to_device_GBps"));
  expect_within_5_percent(written, fixed + chunks.size / profile_.rate("link.to_host_GBps"));
  expect_within_5_percent(by_blocks, read);
  EXPECT_EQ(cuMemUnmap(chunks.begin, chunks.size), CUDA_SUCCESS);
  release(chunks);
}

TEST_F(Cost, AKernelThatReadsHostMemorySharesTheLinkWithACopy) {
  const CUevent begin = mark(streams_[0]);
  const auto host = reinterpret_cast<CUdeviceptr>(other_host_);
  launch_traffic(host, kBuffer, 0, 0, streams_[1]);
  cuMemcpyHtoDAsync(device_, host_, kBuffer, streams_[0]);
  const CUevent copied = mark(streams_[0]), ran = mark(streams_[1]);
  const double expected = 2 * kBuffer / profile_.rate("link.to_device_GBps");
  expect_within_5_percent(seconds(begin, copied), expected);
  expect_within_5_percent(seconds(begin, ran), expected);
}

TEST_F(Cost, RemappingChunksCostsByTheHandle) {
  constexpr std::size_t count = 20;
  Chunks device, host;
  const double created =
      host_time_of([&] { device = make_chunks(CU_MEM_LOCATION_TYPE_DEVICE, count); });
  const double pinned =
      host_time_of([&] { host = make_chunks(CU_MEM_LOCATION_TYPE_HOST_NUMA, 4); });
  const double mapped = host_time_of([&] { map(device); });
  const double opened = host_time_of([&] { set_access(device); });
  const double unmapped =
      host_time_of([&] { EXPECT_EQ(cuMemUnmap(device.begin, device.size), CUDA_SUCCESS); });
  expect_within_5_percent(created, count * profile_.cost("create.device_us"));
  expect_within_5_percent(pinned, host.size / profile_.rate("create.pin_GBps"));
  expect_within_5_percent(mapped,
                          count * (profile_.cost("map.call_us") + profile_.cost("map.handle_us")));
  expect_within_5_percent(
      opened, profile_.cost("set_access.call_us") + count * profile_.cost("set_access.handle_us"));
  expect_within_5_percent(
      unmapped, profile_.cost("unmap.call_us") + count * profile_.cost("unmap.handle_us"));
  release(device);
  release(host);
}

TEST_F(Cost, AGraphTakesWhatItsNodesTake) {
  CUgraph graph = nullptr;
  CUgraphExec executable = nullptr;
  ASSERT_EQ(cuStreamBeginCapture(streams_[0], CU_STREAM_CAPTURE_MODE_RELAXED), CUDA_SUCCESS);
  cuMemcpyHtoDAsync(device_, host_, kBuffer, streams_[0]);
  launch_traffic(device_, kBuffer, 0, 0, streams_[0]);
  ASSERT_EQ(cuStreamEndCapture(streams_[0], &graph), CUDA_SUCCESS);
  ASSERT_EQ(cuGraphInstantiate(&executable, graph, 0), CUDA_SUCCESS);
  const double time = time_of([&] { cuGraphLaunch(executable, streams_[0]); });
  expect_within_5_percent(
      time, profile_.cost("copy.start_us") + kBuffer / profile_.rate("link.to_device_GBps") +
                profile_.cost("launch.call_us") + profile_.cost("launch.kernel_us") +
                kBuffer / profile_.rate("hbm.bandwidth_GBps"));
  cuGraphExecDestroy(executable);
  cuGraphDestroy(graph);
}

TEST_F(Cost, WorkWaitsForAnEventAlsoWhenItsWorkReallyIsDone) {
  const CUevent begin = mark(streams_[0]);
  cuMemcpyHtoDAsync(device_, host_, kBuffer, streams_[0]);
  const CUevent copied = mark(streams_[0]);
  while (cuStreamQuery(streams_[2]) != CUDA_SUCCESS) {
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // long done, in real time
  cuStreamWaitEvent(streams_[1], copied, 0);
  launch_traffic(device_, 4096, 0, 0, streams_[1]);
  EXPECT_GE(seconds(begin, mark(streams_[1])), kBuffer / profile_.rate("link.to_device_GBps"));
}

TEST_F(Cost, WhoFindsWorkCompleteIsAsLateAsThat) {
  const double before = simgpu_seconds();
  cuMemcpyHtoDAsync(device_, host_, kBuffer, streams_[0]);
  while (cuStreamQuery(streams_[0]) == CUDA_ERROR_NOT_READY) {
  }
  expect_within_5_percent(
      simgpu_seconds() - before,
      profile_.cost("copy.start_us") + kBuffer / profile_.rate("link.to_device_GBps"));
}

TEST_F(Cost, NobodyWaitsForAKernelThatWaitsForTheHost) {
  int* flag = static_cast<int*>(other_host_);
  *flag = 0;
  launch("wait_for", {&flag}, streams_[1]);
  const double time = time_of([&] { cuMemcpyHtoDAsync(device_, host_, kBuffer, streams_[0]); });
  expect_within_5_percent(
      time, profile_.cost("copy.start_us") + kBuffer / profile_.rate("link.to_device_GBps"));
  __atomic_store_n(flag, 1, __ATOMIC_RELEASE);
  EXPECT_EQ(cuStreamSynchronize(streams_[1]), CUDA_SUCCESS);
}

TEST_F(Cost, TheSameWorkTakesTheSameTimeAgain) {
  std::vector<double> times;
  for (int round = 0; round < 20; ++round) {
    const CUevent begin = mark(streams_[0]);
    for (int i = 0; i < 6; ++i) {
      const std::size_t own = i % 3 * 2 * kMiB;  // no two streams write the same bytes
      cuMemcpyHtoDAsync(device_ + own, host_, (i + 1) * kMiB / 4, streams_[i % 3]);
      launch_traffic(device_, (7 - i) * kMiB, 0, 0, streams_[(i + 1) % 3]);
      cuMemcpyDtoHAsync(static_cast<char*>(other_host_) + own, other_device_, (i + 2) * kMiB / 8,
                        streams_[(i + 2) % 3]);
    }
    std::array<CUevent, 3> ends{};
    for (std::size_t i = 0; i < ends.size(); ++i) ends[i] = mark(streams_[i]);
    times.push_back(seconds(begin, ends[0]) + seconds(begin, ends[1]) + seconds(begin, ends[2]));
    ASSERT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
    EXPECT_NEAR(times.back(), times.front(), times.front() * 1e-5) << "round " << round;
  }
}

// Run with a profile whose clock is real: never a measurement, only that it sleeps.
class RealClock : public Cost {};
TEST_F(RealClock, SleepsAtLeastAsLongAsThingsCost) {
  const auto begin = std::chrono::steady_clock::now();
  cuMemcpyHtoDAsync(device_, host_, kBuffer, streams_[0]);
  cuMemcpyDtoHAsync(other_host_, other_device_, kBuffer, streams_[1]);
  launch_traffic(reinterpret_cast<CUdeviceptr>(host_), kBuffer, 0, 0, streams_[2]);
  ASSERT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  const double cost = 2 * kBuffer / profile_.rate("link.to_device_GBps");
  EXPECT_GE(elapsed.count(), cost / (profile_.cost("scale") * 1e6));
}

std::vector<double> seconds_told;
TEST_F(RealClock, TellsKernelsThatTookWhatTheyCost) {
  simgpu_set_kernel_listener([](const SimgpuKernelRun* run) {
    seconds_told.push_back(static_cast<double>(run->end_ns - run->begin_ns) * 1e-9);
  });
  CUgraph graph = nullptr;
  CUgraphExec executable = nullptr;
  const auto host = reinterpret_cast<CUdeviceptr>(host_);
  launch_traffic(host, kBuffer, 0, 0, streams_[0]);
  ASSERT_EQ(cuStreamBeginCapture(streams_[1], CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), CUDA_SUCCESS);
  launch_traffic(host, kBuffer / 4, 0, 0, streams_[1]);
  launch_traffic(host, kBuffer / 2, 0, 0, streams_[1]);
  ASSERT_EQ(cuStreamEndCapture(streams_[1], &graph), CUDA_SUCCESS);
  ASSERT_EQ(cuGraphInstantiateWithFlags(&executable, graph, 0), CUDA_SUCCESS);
  ASSERT_EQ(cuStreamSynchronize(streams_[0]), CUDA_SUCCESS);
  ASSERT_EQ(cuGraphLaunch(executable, streams_[1]), CUDA_SUCCESS);
  ASSERT_EQ(cuStreamSynchronize(streams_[1]), CUDA_SUCCESS);
  simgpu_set_kernel_listener(nullptr);
  ASSERT_EQ(seconds_told.size(), 3u);
  const double whole =
      kBuffer / profile_.rate("link.to_device_GBps") / (profile_.cost("scale") * 1e6);
  const double costs[] = {whole, whole / 4, whole / 2};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_GE(seconds_told[i], costs[i] * 0.99) << i;
    // A busy machine sleeps longer, not that much.
    EXPECT_LE(seconds_told[i], costs[i] + 0.1) << i;
  }
}

}  // namespace
