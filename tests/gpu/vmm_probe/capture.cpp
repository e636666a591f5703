// What may be called while a stream is being captured, and whether a graph outlives a flip of the
// memory that its nodes name.
#include <functional>

#include "gpu_work.h"

namespace vmm_probe {
namespace {

struct Call {
  const char* name;
  std::function<void()> prepare;  // outside the capture
  std::function<CUresult()> call;
  std::function<void()> undo;  // outside, whether or not the call worked
};

// One call in a capture of its own: its result, and what became of the capture.
Json within_capture(const Probe& probe, const Call& call, CUstreamCaptureMode mode, bool exchange,
                    bool other_thread) {
  Stream captured;
  call.prepare();
  must(cu.cuStreamBeginCapture_v2(captured, mode), "cuStreamBeginCapture");
  CUresult result = CUDA_SUCCESS;
  double took = 0;
  const auto make_call = [&] {
    CUstreamCaptureMode own = CU_STREAM_CAPTURE_MODE_RELAXED;
    if (exchange) must(cu.cuThreadExchangeStreamCaptureMode(&own), "cuThreadExchange…");
    const Clock::time_point start = Clock::now();
    result = call.call();
    took = microseconds_since(start);
    if (exchange) must(cu.cuThreadExchangeStreamCaptureMode(&own), "cuThreadExchange…");
  };
  if (other_thread) {
    std::string trouble;
    std::thread([&] {
      try {
        must(cu.cuCtxSetCurrent(probe.context()), "cuCtxSetCurrent");
        make_call();
      } catch (const Failure& failure) {
        trouble = failure.what();
      }
    }).join();
    if (!trouble.empty()) throw Failure(trouble);
  } else {
    make_call();
  }
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  const CUresult asked = cu.cuStreamIsCapturing(captured, &status);
  CUgraph graph = nullptr;
  const CUresult ended = cu.cuStreamEndCapture(captured, &graph);
  if (graph) cu.cuGraphDestroy(graph);
  call.undo();
  const bool unharmed =
      asked == CUDA_SUCCESS && ended == CUDA_SUCCESS && status == CU_STREAM_CAPTURE_STATUS_ACTIVE;
  return {{"call", call.name},
          {"result", name_of(result)},
          {"capture_unharmed", unharmed},
          {"end_capture", name_of(ended)},
          {"microseconds", took}};
}

}  // namespace

void capture(Probe& probe) {
  const std::vector<Frame> hbm = make_frames(probe, Place::hbm, 2_MiB, 1);
  const std::vector<Frame> host = make_frames(probe, Place::host, 2_MiB, 1);
  Window window(probe, 2_MiB);
  const Buffer data(probe, Place::hbm, 4_MiB, 2_MiB);
  PinnedMemory pinned(probe, 2_MiB);
  Stream other;
  Event event;
  must(cu.cuEventRecord(event, other), "cuEventRecord");
  other.wait();

  CUdeviceptr reserved = 0, allocated = 0;
  CUmemGenericAllocationHandle created = 0;
  CUmemAccessDesc access{};
  access.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  access.location.id = probe.device();
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  const CUmemAllocationProp on_device = frame_properties(probe, Place::hbm);
  const CUmemAllocationProp on_host = frame_properties(probe, Place::host);
  const auto nothing = [] {};
  const auto wait_other = [&] { other.wait(); };
  // Undo works on what the call really did, so the driver is called directly, not through Window.
  const auto unmap = [&] { cu.cuMemUnmap(window.base(), 2_MiB); };
  const auto map = [&](const Frame& frame) {
    return cu.cuMemMap(window.base(), 2_MiB, 0, frame.handle(), 0);
  };
  const auto release = [&] {
    if (created) cu.cuMemRelease(created);
    created = 0;
  };
  const std::vector<Call> calls = {
      {"cuMemAddressReserve", nothing,
       [&] { return cu.cuMemAddressReserve(&reserved, 2_MiB, 0, 0, 0); },
       [&] {
         if (reserved) cu.cuMemAddressFree(reserved, 2_MiB);
         reserved = 0;
       }},
      {"cuMemAddressFree",
       [&] { must(cu.cuMemAddressReserve(&reserved, 2_MiB, 0, 0, 0), "cuMemAddressReserve"); },
       [&] {
         const CUresult result = cu.cuMemAddressFree(reserved, 2_MiB);
         if (result == CUDA_SUCCESS) reserved = 0;
         return result;
       },
       [&] {
         if (reserved) cu.cuMemAddressFree(reserved, 2_MiB);
         reserved = 0;
       }},
      {"cuMemCreate in HBM", nothing,
       [&] { return cu.cuMemCreate(&created, 2_MiB, &on_device, 0); }, release},
      {"cuMemCreate on the host", nothing,
       [&] { return cu.cuMemCreate(&created, 2_MiB, &on_host, 0); }, release},
      {"cuMemRelease", [&] { must(cu.cuMemCreate(&created, 2_MiB, &on_device, 0), "cuMemCreate"); },
       [&] {
         const CUresult result = cu.cuMemRelease(created);
         if (result == CUDA_SUCCESS) created = 0;
         return result;
       },
       release},
      {"cuMemMap of an HBM frame", nothing, [&] { return map(hbm[0]); }, unmap},
      {"cuMemMap of a host frame", nothing, [&] { return map(host[0]); }, unmap},
      {"cuMemSetAccess", [&] { must(map(hbm[0]), "cuMemMap"); },
       [&] { return cu.cuMemSetAccess(window.base(), 2_MiB, &access, 1); }, unmap},
      {"cuMemUnmap", [&] { must(map(hbm[0]), "cuMemMap"); },
       [&] { return cu.cuMemUnmap(window.base(), 2_MiB); }, unmap},
      {"cuMemAlloc", nothing, [&] { return cu.cuMemAlloc_v2(&allocated, 2_MiB); },
       [&] {
         if (allocated) cu.cuMemFree_v2(allocated);
         allocated = 0;
       }},
      {"cuMemGetInfo", nothing,
       [] {
         std::size_t free = 0, total = 0;
         return cu.cuMemGetInfo_v2(&free, &total);
       },
       nothing},
      {"cuPointerGetAttribute", nothing,
       [&] {
         unsigned type = 0;
         return cu.cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, data.address());
       },
       nothing},
      {"cuStreamQuery of another stream", nothing, [&] { return cu.cuStreamQuery(other); },
       nothing},
      {"cuStreamSynchronize of another stream", nothing,
       [&] { return cu.cuStreamSynchronize(other); }, nothing},
      {"cuEventQuery",
       [&] {
         must(cu.cuEventRecord(event, other), "cuEventRecord");
         other.wait();
       },
       [&] { return cu.cuEventQuery(event); }, nothing},
      {"cuEventRecord on another stream", nothing, [&] { return cu.cuEventRecord(event, other); },
       wait_other},
      {"cuMemcpyAsync on another stream", nothing,
       [&] { return cu.cuMemcpyAsync(data.address(), pinned.address(), 2_MiB, other); },
       wait_other},
      {"cuMemcpy, synchronous", nothing,
       [&] { return cu.cuMemcpy(data.address(), pinned.address(), 2_MiB); }, nothing},
      {"cuCtxSynchronize", nothing, [] { return cu.cuCtxSynchronize(); }, nothing},
      {"cuCtxRecordEvent", nothing,
       [&] {
         return cu.cuCtxRecordEvent ? cu.cuCtxRecordEvent(probe.context(), event)
                                    : CUDA_ERROR_NOT_FOUND;
       },
       nothing},
  };

  struct Mode {
    CUstreamCaptureMode mode;
    const char* name;
  };
  for (const Mode& mode : {Mode{CU_STREAM_CAPTURE_MODE_GLOBAL, "global"},
                           Mode{CU_STREAM_CAPTURE_MODE_THREAD_LOCAL, "thread_local"},
                           Mode{CU_STREAM_CAPTURE_MODE_RELAXED, "relaxed"}}) {
    for (const bool other_thread : {false, true}) {
      for (const bool exchange : {false, true}) {
        std::size_t refused = 0, harmed = 0;
        for (const Call& call : calls) {
          Json row = {{"mode", mode.name},
                      {"thread", other_thread ? "another" : "the capturing one"},
                      {"thread_exchanged_to_relaxed", exchange}};
          row.update(within_capture(probe, call, mode.mode, exchange, other_thread));
          refused += row["result"] != "CUDA_SUCCESS";
          harmed += !row["capture_unharmed"].get<bool>();
          probe.append("by_call", row);
        }
        probe.append("by_mode", {{"mode", mode.name},
                                 {"thread", other_thread ? "another" : "the capturing one"},
                                 {"thread_exchanged_to_relaxed", exchange},
                                 {"calls_count", calls.size()},
                                 {"refused_count", refused},
                                 {"captures_harmed_count", harmed}});
        if (!other_thread && mode.mode == CU_STREAM_CAPTURE_MODE_GLOBAL)
          probe.record(exchange ? "global_exchanged_refused_count" : "global_refused_count",
                       refused);
        probe.headline(std::string(mode.name) + " capture, last tried: " + std::to_string(refused) +
                       " of " + std::to_string(calls.size()) + " calls refused, " +
                       std::to_string(harmed) + " captures harmed");
      }
    }
  }
}

// Captured while the range is in HBM; launched in HBM, after a flip to host frames, and back again.
void graph_after_flip(Probe& probe) {
  if (!cu.cuGraphInstantiateWithFlags) throw Skipped("no cuGraphInstantiateWithFlags");
  constexpr std::size_t chunk = 2_MiB, words = chunk / 4;
  const std::vector<Frame> hbm = make_frames(probe, Place::hbm, chunk, 3);
  const std::vector<Frame> host = make_frames(probe, Place::host, chunk, 3);
  Window window(probe, 3 * chunk);
  window.map_all(hbm);
  PinnedMemory pinned(probe, 2 * chunk);
  auto* source = static_cast<std::uint32_t*>(pinned.host());
  auto* back = source + words;
  const CUdeviceptr copied = window.base(), set = copied + chunk, doubled = set + chunk;

  Stream stream;
  const bool kernels = probe.has_kernels();
  must(cu.cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "begin capture");
  must(cu.cuMemcpyAsync(copied, pinned.address(), chunk, stream), "captured copy in");
  must(cu.cuMemsetD32Async(set, 0xabcd, words, stream), "captured fill");
  must(cu.cuMemcpyAsync(doubled, copied, chunk, stream), "captured copy inside");
  if (kernels)
    launch(probe.kernel("fill_words"), 64, 256, stream, set, std::uint64_t{words / 2}, 5u);
  must(cu.cuMemcpyAsync(pinned.address() + chunk, doubled, chunk, stream), "captured copy out");
  CUgraph graph = nullptr;
  must(cu.cuStreamEndCapture(stream, &graph), "cuStreamEndCapture");
  CUgraphExec executable = nullptr;
  must(cu.cuGraphInstantiateWithFlags(&executable, graph, 0), "cuGraphInstantiate");
  probe.record("kernel_node", kernels);

  std::size_t wrong_in_all = 0;
  std::uint32_t seed = 0;
  for (const char* where : {"hbm", "host_frame", "hbm again"}) {
    if (seed > 0) {
      window.unmap(0, 3 * chunk);
      window.map_all(seed == 1 ? host : hbm);
    }
    ++seed;
    for (std::size_t i = 0; i < words; ++i)
      source[i] = static_cast<std::uint32_t>(i) * 2654435761u + seed;
    std::fill(back, back + words, 0u);
    const Clock::time_point start = Clock::now();
    CUresult result = cu.cuGraphLaunch(executable, stream);
    if (result == CUDA_SUCCESS) result = cu.cuStreamSynchronize(stream);
    const double took = microseconds_since(start);
    std::size_t wrong = 0;
    if (result == CUDA_SUCCESS) {
      for (std::size_t i = 0; i < words; ++i) wrong += back[i] != source[i];
      std::vector<std::uint32_t> filled(words);
      must(cu.cuMemcpyDtoH_v2(filled.data(), set, chunk), "cuMemcpyDtoH");
      for (std::size_t i = 0; i < words; ++i) {
        const bool by_kernel = kernels && i < words / 2;
        wrong +=
            filled[i] != (by_kernel ? static_cast<std::uint32_t>(i) * 2654435761u + 5u : 0xabcdu);
      }
    }
    wrong_in_all += wrong + (result != CUDA_SUCCESS);
    probe.append("by_state", {{"mapped", where},
                              {"result", name_of(result)},
                              {"wrong_words_count", wrong},
                              {"microseconds", took}});
  }
  cu.cuGraphExecDestroy(executable);
  cu.cuGraphDestroy(graph);
  probe.headline(wrong_in_all ? "the graph's work went wrong after a flip: see by_state"
                              : "the graph did its work in every state");
}

}  // namespace vmm_probe
