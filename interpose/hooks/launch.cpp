// Kernel launches and host functions. Arguments that lie in the window are evidence of what the
// kernel touches. A launch that is being captured is only recorded: its arguments count then, and
// again with each launch of the graph; but nothing new is asked of the driver while a capture is
// under way, but where KV layouts need it. Before a kernel that a KV layout describes a look at its
// block table may be queued, inside the same pass of the gate.
#include <array>

#include "interpose/kernel_arguments.h"
#include "interpose/submit.h"
#include "runtime/kv_heat.h"

namespace vhbm::interpose {
namespace {

// Hands words to the runtime many at once.
class Named {
 public:
  explicit Named(Runtime& runtime) noexcept : runtime_(runtime) {}
  ~Named() { hand_over(); }
  Named(const Named&) = delete;
  Named& operator=(const Named&) = delete;

  void operator()(std::uint64_t word) noexcept {
    words_[count_++] = word;
    if (count_ == std::size(words_)) hand_over();
  }

 private:
  void hand_over() noexcept {
    if (count_ != 0) runtime_.named({words_, count_});
    count_ = 0;
  }

  Runtime& runtime_;
  std::size_t count_ = 0;
  std::uint64_t words_[32];
};

// Returns what is known of the function's parameters, where they were given one by one.
const ParameterLayout* name_arguments(Runtime& runtime, CUfunction function, void** parameters,
                                      void** extra) {
  const Window& window = runtime.window();
  Named seen(runtime);
  if (extra != nullptr) {
    words_of_buffer(window, extra, seen);
    return nullptr;
  }
  if (parameters == nullptr) return nullptr;
  Session& session = Session::get();
  const ParameterLayout* layout = session.layouts.find(function);
  if (layout == nullptr && (!session.captures.any() || session.layouts.learns_in_captures())) {
    layout = session.layouts.learn(function, linkage()->ask);
  }
  if (layout != nullptr) words_of_parameters(window, *layout, parameters, seen);
  return layout;
}

std::array<unsigned, 3> grid_of(const CUlaunchConfig* config) {
  if (config == nullptr) return {};
  return {config->gridDimX, config->gridDimY, config->gridDimZ};
}

struct Launch {
  CUfunction function;
  std::array<unsigned, 3> grid;
  CUstream stream;
  DefaultStream null_means;
  void** parameters;
  void** extra;
};

// A look at the block table of what comes next on the stream. None where the stream's state is not
// told: legacy streams, say, may not be worked on while another one is being captured.
void look(const HookScope& scope, Runtime& runtime, KvMatch& match, const Launch& launch) {
  const KvLaunchShape shape{launch.parameters, launch.grid};
  const bool captures = Session::get().captures.any();
  if (!captures && !runtime.wants_look(match, shape)) return;
  const Queries& ask = scope.linkage().ask;
  CUcontext context = nullptr, of_stream = nullptr;
  (void)ask.cuCtxGetCurrent(&context);
  const CUstream stream =
      is_per_thread(launch.stream, launch.null_means) ? CU_STREAM_PER_THREAD : launch.stream;
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  if (captures && (ask.cuStreamIsCapturing == nullptr ||
                   ask.cuStreamIsCapturing(stream, &status) != CUDA_SUCCESS ||
                   status == CU_STREAM_CAPTURE_STATUS_INVALIDATED)) {
    return;
  }
  if (ask.cuStreamGetCtx == nullptr || ask.cuStreamGetCtx(stream, &of_stream) != CUDA_SUCCESS ||
      of_stream != context) {
    return;
  }
  const bool captured = status == CU_STREAM_CAPTURE_STATUS_ACTIVE;
  if (captured || runtime.wants_look(match, shape)) {
    runtime.launches(match, {shape, stream, context, captured});
  }
}

// As submit(), of a kernel, which `describe` describes: only where there is a runtime, since what
// is no configuration is the driver's to say.
template <typename... P, typename Describe>
CUresult launch(CUresult (CUDAAPI* Functions::*function)(P...), Describe&& describe,
                std::type_identity_t<P>... arguments) {
  const HookScope scope;
  Runtime* const runtime = scope.runtime();
  if (runtime == nullptr) return scope.call(function, arguments...);
  const Launch launch = describe();
  const auto say = [&] {
    note_stream(*runtime, launch.stream, launch.null_means);
    return name_arguments(*runtime, launch.function, launch.parameters, launch.extra);
  };
  auto pass = runtime->gate().pass([&] { (void)say(); });
  pass.count_launch();
  const ParameterLayout* const layout = say();
  if (layout != nullptr && layout->kv != nullptr) [[unlikely]] {
    look(scope, *runtime, *layout->kv, launch);
  }
  return scope.call(function, arguments...);
}

}  // namespace
}  // namespace vhbm::interpose

using namespace vhbm::interpose;

// `...` say the grid.
#define VHBM_LAUNCH_AS(means, symbol, given, arguments, function, stream, parameters, extra, ...) \
  CUresult CUDAAPI symbol given {                                                                 \
    return launch(                                                                                \
        &Functions::symbol,                                                                       \
        [&] {                                                                                     \
          return Launch{function, __VA_ARGS__, stream, DefaultStream::means, parameters, extra};  \
        },                                                                                        \
        VHBM_LIST arguments);                                                                     \
  }
#define VHBM_LAUNCHES(symbol, suffix, ...)    \
  VHBM_LAUNCH_AS(legacy, symbol, __VA_ARGS__) \
  VHBM_LAUNCH_AS(per_thread, symbol##suffix, __VA_ARGS__)

extern "C" {

VHBM_LAUNCHES(cuLaunchKernel, _ptsz,
              (CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
               unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
               CUstream stream, void** parameters, void** extra),
              (function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream,
               parameters, extra),
              function, stream, parameters, extra, std::array{grid_x, grid_y, grid_z})

VHBM_LAUNCHES(cuLaunchKernelEx, _ptsz,
              (const CUlaunchConfig* config, CUfunction function, void** parameters, void** extra),
              (config, function, parameters, extra), function,
              (config == nullptr ? CU_STREAM_LEGACY : config->hStream), parameters, extra,
              grid_of(config))

VHBM_LAUNCHES(cuLaunchCooperativeKernel, _ptsz,
              (CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
               unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
               CUstream stream, void** parameters),
              (function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream,
               parameters),
              function, stream, parameters, nullptr, std::array{grid_x, grid_y, grid_z})

// The launches of CUDA 3, whose parameters were set one by one before: no evidence.
VHBM_SUBMIT_AS(legacy, cuLaunch, (CUfunction function), (function), nullptr, runtime.launched())
VHBM_SUBMIT_AS(legacy, cuLaunchGrid, (CUfunction function, int width, int height),
               (function, width, height), nullptr, runtime.launched())
VHBM_SUBMIT_AS(legacy, cuLaunchGridAsync,
               (CUfunction function, int width, int height, CUstream stream),
               (function, width, height, stream), stream, runtime.launched())

VHBM_SUBMIT_AS(
    legacy, cuLaunchCooperativeKernelMultiDevice,
    (CUDA_LAUNCH_PARAMS * launches, unsigned count, unsigned flags), (launches, count, flags),
    nullptr, for (unsigned i = 0; launches != nullptr && i < count; ++i) {
      (void)name_arguments(runtime, launches[i].function, launches[i].kernelParams, nullptr);
    })

VHBM_SUBMITS(cuLaunchHostFunc, _ptsz, (CUstream stream, CUhostFn function, void* data),
             (stream, function, data), stream)

}  // extern "C"
