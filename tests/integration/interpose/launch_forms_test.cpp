// Every way to launch a kernel, and stream operations on words of memory: what they name is seen,
// and they do their work on memory that lies in HBM and in host memory by turns. Compiled so that
// cuda.h declares each variant under its own name.
#include "frozen_memory.h"
#include "interpose_kernels.h"

#if !defined(__CUDA_API_VERSION_INTERNAL)
#error "see CMakeLists.txt"
#endif

namespace {

struct Launch {
  CUfunction function;
  CUstream stream;
  void** parameters;
  void** extra;
};

struct LaunchForm {
  const char* name;
  CUresult (*run)(const Launch& l);
};

// With an attribute that changes nothing.
template <typename Call>
CUresult launch_ex(const Launch& l, Call call, void** parameters, void** extra) {
  CUlaunchAttribute attribute{};
  attribute.id = CU_LAUNCH_ATTRIBUTE_PRIORITY;
  CUlaunchConfig config{};
  config.gridDimX = config.gridDimY = config.gridDimZ = 1;
  config.blockDimX = 64;
  config.blockDimY = config.blockDimZ = 1;
  config.hStream = l.stream;
  config.attrs = &attribute;
  config.numAttrs = 1;
  return call(&config, l.function, parameters, extra);
}

#define PLAIN(symbol)                                                                  \
  {#symbol,                                                                            \
   [](const Launch& l) {                                                               \
     return symbol(l.function, 1, 1, 1, 64, 1, 1, 0, l.stream, l.parameters, nullptr); \
   }},                                                                                 \
      {#symbol ", packed", [](const Launch& l) {                                       \
         return symbol(l.function, 1, 1, 1, 64, 1, 1, 0, l.stream, nullptr, l.extra);  \
       }},
#define EXTENDED(symbol)                                                                   \
  {#symbol, [](const Launch& l) { return launch_ex(l, &symbol, l.parameters, nullptr); }}, \
      {#symbol ", packed",                                                                 \
       [](const Launch& l) { return launch_ex(l, &symbol, nullptr, l.extra); }},
#define COOPERATIVE(symbol)                                                   \
  {#symbol, [](const Launch& l) {                                             \
     return symbol(l.function, 1, 1, 1, 64, 1, 1, 0, l.stream, l.parameters); \
   }},
// clang-format off
constexpr LaunchForm launch_forms[] = {
  PLAIN(cuLaunchKernel)
  PLAIN(cuLaunchKernel_ptsz)
  EXTENDED(cuLaunchKernelEx)
  EXTENDED(cuLaunchKernelEx_ptsz)
  COOPERATIVE(cuLaunchCooperativeKernel)
  COOPERATIVE(cuLaunchCooperativeKernel_ptsz)
};
// clang-format on

class LaunchForms : public FrozenMemory {
 protected:
  void SetUp() override {
    for (const auto& image : interpose_kernels_images()) {
      if (cuLibraryLoadData(&library_, image.data, nullptr, nullptr, 0, nullptr, nullptr, 0) ==
          CUDA_SUCCESS) {
        break;
      }
    }
    ASSERT_CUDA(cuLibraryGetKernel(&kernel_, library_, "fill_words"));
    for (std::size_t i = 0; i < chunks; ++i) whole_ += in_host(i) ? chunk : 0;
  }
  void TearDown() override { EXPECT_CUDA(cuLibraryUnload(library_)); }

  CUlibrary library_ = nullptr;
  CUkernel kernel_ = nullptr;
  std::uint64_t whole_ = 0;  // of the region, in host memory
};

TEST_F(LaunchForms, Launches) {
  // From the middle of a chunk to the middle of the next but two.
  CUdeviceptr words = region() + 4 * chunk - 4096;
  std::uint64_t count = 2 * chunk / sizeof(std::uint32_t);
  std::uint32_t seed = 100;
  for (const CUfunction function : {fill_, reinterpret_cast<CUfunction>(kernel_)}) {
    for (const LaunchForm& form : launch_forms) {
      SCOPED_TRACE(std::string(form.name) + (function == fill_ ? "" : ", of a CUkernel"));
      ++seed;
      void* parameters[] = {&words, &count, &seed};
      struct {
        CUdeviceptr words;
        std::uint64_t count;
        std::uint32_t seed;
      } packed{words, count, seed};
      std::size_t size = sizeof packed;
      void* extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &packed, CU_LAUNCH_PARAM_BUFFER_SIZE, &size,
                       CU_LAUNCH_PARAM_END};
      // A kernel may touch all of the region that it names.
      EXPECT_EQ(counted([&] {
                  ASSERT_CUDA(form.run({function, stream_, parameters, extra}));
                }),
                whole_);
      EXPECT_TRUE(holds(words, 2 * chunk, seed));
    }
  }
}

TEST_F(LaunchForms, WordsThatStreamsWaitForAndWrite) {
  std::size_t host_chunk = 0;
  while (!in_host(host_chunk)) ++host_chunk;
  const CUdeviceptr word = region() + host_chunk * chunk + 64;
#define OPERATION(bytes, ...) \
  EXPECT_EQ(counted([&] { EXPECT_CUDA(__VA_ARGS__); }), std::uint64_t{bytes}) << #__VA_ARGS__
  OPERATION(4, cuStreamWriteValue32(stream_, word, 7, 0));
  OPERATION(4, cuStreamWriteValue32_ptsz(nullptr, word, 7, 0));
  OPERATION(4, cuStreamWaitValue32(stream_, word, 7, CU_STREAM_WAIT_VALUE_EQ));
  OPERATION(4, cuStreamWaitValue32_v2(stream_, word, 7, CU_STREAM_WAIT_VALUE_EQ));
  OPERATION(8, cuStreamWriteValue64_v2(stream_, word, 9, 0));
  OPERATION(8, cuStreamWaitValue64_v2_ptsz(nullptr, word, 9, CU_STREAM_WAIT_VALUE_EQ));
  CUstreamBatchMemOpParams batch[2]{};
  batch[0].writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_64;
  batch[0].writeValue.address = word;
  batch[0].writeValue.value64 = 11;
  batch[1].waitValue.operation = CU_STREAM_MEM_OP_WAIT_VALUE_64;
  batch[1].waitValue.address = word;
  batch[1].waitValue.value64 = 11;
  batch[1].waitValue.flags = CU_STREAM_WAIT_VALUE_EQ;
  OPERATION(16, cuStreamBatchMemOp(stream_, 2, batch, 0));
  OPERATION(16, cuStreamBatchMemOp_v2_ptsz(stream_, 2, batch, 0));
#undef OPERATION
  std::uint64_t now = 0;
  ASSERT_CUDA(cuMemcpyDtoH_v2(&now, word, sizeof now));
  EXPECT_EQ(now, 11u);
}

}  // namespace
