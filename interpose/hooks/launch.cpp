// Kernel launches and host functions. Arguments that lie in the window are evidence of what the
// kernel touches. A launch that is being captured is only recorded: its arguments count then, and
// again with each launch of the graph; but nothing new is asked of the driver while a capture is
// under way.
#include "interpose/kernel_arguments.h"
#include "interpose/submit.h"

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

void name_arguments(Runtime& runtime, CUfunction function, void** parameters, void** extra) {
  runtime.launched();
  const Window& window = runtime.window();
  Named seen(runtime);
  if (extra != nullptr) return words_of_buffer(window, extra, seen);
  if (parameters == nullptr) return;
  Session& session = Session::get();
  const ParameterLayout* layout = session.layouts.find(function);
  if (layout == nullptr && !session.captures.any()) {
    layout = session.layouts.learn(function, linkage()->ask);
  }
  if (layout != nullptr) words_of_parameters(window, *layout, parameters, seen);
}

}  // namespace
}  // namespace vhbm::interpose

using vhbm::interpose::name_arguments;

extern "C" {

VHBM_SUBMITS(cuLaunchKernel, _ptsz,
             (CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
              unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
              CUstream stream, void** parameters, void** extra),
             (function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream,
              parameters, extra),
             stream, name_arguments(runtime, function, parameters, extra))

VHBM_SUBMITS(cuLaunchKernelEx, _ptsz,
             (const CUlaunchConfig* config, CUfunction function, void** parameters, void** extra),
             (config, function, parameters, extra),
             (config == nullptr ? CU_STREAM_LEGACY : config->hStream),
             name_arguments(runtime, function, parameters, extra))

VHBM_SUBMITS(cuLaunchCooperativeKernel, _ptsz,
             (CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
              unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
              CUstream stream, void** parameters),
             (function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream,
              parameters),
             stream, name_arguments(runtime, function, parameters, nullptr))

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
      name_arguments(runtime, launches[i].function, launches[i].kernelParams, nullptr);
    })

VHBM_SUBMITS(cuLaunchHostFunc, _ptsz, (CUstream stream, CUhostFn function, void* data),
             (stream, function, data), stream)

}  // extern "C"
