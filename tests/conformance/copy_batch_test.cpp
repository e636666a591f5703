// Batches of copies: each with an order in which its source is read.
#include "on_device.h"

#if CUDA_VERSION >= 13000

using namespace conformance;

namespace {

class CopyBatch : public OnDevice {
 protected:
  static constexpr std::size_t kWords = 1024, kBytes = 4096;

  void SetUp() override {
    OnDevice::SetUp();
    stream_ = make_stream();
  }
  static CUmemcpyAttributes ordered(CUmemcpySrcAccessOrder order) {
    CUmemcpyAttributes attributes{};
    attributes.srcAccessOrder = order;
    return attributes;
  }
  // Device memory of as many words, all alike.
  CUdeviceptr filled(unsigned value) {
    const CUdeviceptr memory = allocate(kBytes);
    EXPECT_EQ(cuMemsetD32(memory, value, kWords), CUDA_SUCCESS);
    EXPECT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
    return memory;
  }
  // One copy of a page.
  CUresult copy(CUdeviceptr to, CUdeviceptr from, CUmemcpySrcAccessOrder order, CUstream stream) {
    CUmemcpyAttributes attributes = ordered(order);
    std::size_t size = kBytes, first = 0;
    return cuMemcpyBatchAsync(&to, &from, &size, 1, &attributes, &first, 1, stream);
  }
  static CUmemcpy3DOperand operand(CUdeviceptr address, std::size_t row) {
    CUmemcpy3DOperand operand{};
    operand.type = CU_MEMCPY_OPERAND_TYPE_POINTER;
    operand.op.ptr.ptr = address;
    operand.op.ptr.rowLength = row;
    return operand;
  }
  static CUdeviceptr address_of(const void* pointer) {
    return reinterpret_cast<CUdeviceptr>(pointer);
  }

  CUstream stream_ = nullptr;
};

TEST_F(CopyBatch, DoesAllItsCopiesInTheOrderOfTheStream) {
  // cuda.h, cuMemcpyBatchAsync: "The batch as a whole executes in stream order but copies within a
  // batch are not guaranteed to execute in any specific order."
  CUdeviceptr to[3] = {filled(0), filled(0), filled(0)};
  CUdeviceptr from[3] = {filled(1), filled(2), filled(3)};
  std::size_t sizes[3] = {kBytes, kBytes, kBytes}, firsts[2] = {0, 2};
  CUmemcpyAttributes attributes[2] = {ordered(CU_MEMCPY_SRC_ACCESS_ORDER_STREAM),
                                      ordered(CU_MEMCPY_SRC_ACCESS_ORDER_ANY)};
  OK(launch(kernel("fill"), kWords, stream_, from[0], 10u, static_cast<unsigned>(kWords)));
  OK(cuMemcpyBatchAsync(to, from, sizes, 3, attributes, firsts, 2, stream_));
  for (const CUdeviceptr memory : to) {
    OK(launch(kernel("add_one"), kWords, stream_, memory, static_cast<unsigned>(kWords)));
  }
  EXPECT_EQ(read(to[0], kWords), Words(kWords, 11u));
  EXPECT_EQ(read(to[1], kWords), Words(kWords, 3u));
  EXPECT_EQ(read(to[2], kWords), Words(kWords, 4u));
}

TEST_F(CopyBatch, ASourceOfTheStreamsOrderIsReadThen) {
  // cuda.h: "If the source access order is set to CU_MEMCPY_SRC_ACCESS_ORDER_STREAM, then the
  // source will be accessed in stream order."
  void* host = nullptr;
  OK(cuMemHostAlloc(&host, kBytes, 0));
  const CUdeviceptr to = filled(0);
  {
    Blocker blocker(kernel("wait_for_flag"), stream_);
    OK(blocker.launched());
    std::fill_n(static_cast<unsigned*>(host), kWords, 5u);
    OK(copy(to, address_of(host), CU_MEMCPY_SRC_ACCESS_ORDER_STREAM, stream_));
    std::fill_n(static_cast<unsigned*>(host), kWords, 6u);
  }
  EXPECT_EQ(read(to, kWords), Words(kWords, 6u));
  OK(cuMemFreeHost(host));
}

TEST_F(CopyBatch, ASourceOfTheCallsDurationIsReadBeforeItReturns) {
  // cuda.h: "all accesses must be complete before the API call returns. This flag is suited for
  // ephemeral sources (ex., stack variables)"
  const CUdeviceptr to = filled(0);
  {
    Words ephemeral(kWords, 5u);
    Blocker blocker(kernel("wait_for_flag"), stream_);
    OK(blocker.launched());
    OK(copy(to, address_of(ephemeral.data()), CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL, stream_));
    std::fill(ephemeral.begin(), ephemeral.end(), 6u);
  }
  EXPECT_EQ(read(to, kWords), Words(kWords, 5u));
}

TEST_F(CopyBatch, EachCopyNeedsAnOrder) {
  // cuda.h: "Each memcpy operation in the batch must have a valid CUmemcpyAttributes corresponding
  // to it including the appropriate srcAccessOrder setting, otherwise the API will return
  // CUDA_ERROR_INVALID_VALUE."
  const CUdeviceptr to = filled(0), from = filled(1);
  EXPECT_EQ(copy(to, from, CU_MEMCPY_SRC_ACCESS_ORDER_INVALID, stream_), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(CopyBatch, AttributesBeginAtTheFirstCopyAndAscend) {
  // cuda.h: "the first entry in attrsIdxs must always be 0. Also, each entry must be greater than
  // the previous entry and the last entry should be less than count."
  CUdeviceptr to[2] = {filled(0), filled(0)}, from[2] = {filled(1), filled(2)};
  std::size_t sizes[2] = {kBytes, kBytes};
  CUmemcpyAttributes attributes[2] = {ordered(CU_MEMCPY_SRC_ACCESS_ORDER_STREAM),
                                      ordered(CU_MEMCPY_SRC_ACCESS_ORDER_STREAM)};
  std::size_t late[2] = {1, 1}, same[2] = {0, 0}, beyond[2] = {0, 2};
  for (std::size_t* firsts : {late, same, beyond}) {
    EXPECT_EQ(cuMemcpyBatchAsync(to, from, sizes, 2, attributes, firsts, 2, stream_),
              CUDA_ERROR_INVALID_VALUE);
  }
}

TEST_F(CopyBatch, TheLegacyStreamTakesNone) {
  // cuda.h: "Must not be legacy NULL stream."
  const CUdeviceptr to = filled(0), from = filled(1);
  EXPECT_NE(copy(to, from, CU_MEMCPY_SRC_ACCESS_ORDER_STREAM, nullptr), CUDA_SUCCESS);
}

TEST_F(CopyBatch, TheFirstVersionCopiesToo) {
  using Function =
      CUresult (*)(CUdeviceptr*, CUdeviceptr*, std::size_t*, std::size_t, CUmemcpyAttributes*,
                   std::size_t*, std::size_t, std::size_t*, CUstream);
  void* function = nullptr;
  OK(cuGetProcAddress("cuMemcpyBatchAsync", &function, 12080, 0, nullptr));
  CUdeviceptr to[2] = {filled(0), filled(0)}, from[2] = {filled(1), filled(2)};
  std::size_t sizes[2] = {kBytes, kBytes}, first = 0, failed = 7;
  CUmemcpyAttributes attributes = ordered(CU_MEMCPY_SRC_ACCESS_ORDER_STREAM);
  OK(reinterpret_cast<Function>(function)(to, from, sizes, 2, &attributes, &first, 1, &failed,
                                          stream_));
  EXPECT_EQ(read(to[1], kWords), Words(kWords, 2u));
}

TEST_F(CopyBatch, ShapedCopiesKeepTheirRows) {
  // cuda.h, cuMemcpy3DBatchAsync: "rowLength … specifies the length of each row in elements … For
  // pointer-to-pointer copies, the element size is considered to be 1." A zero means "tightly
  // packed according to the copy extent".
  const CUdeviceptr to = filled(0), from = filled(7);
  CUDA_MEMCPY3D_BATCH_OP operation{};
  operation.src = operand(from, 0);
  operation.dst = operand(to, 64);  // rows of 16 words, 8 of them copied
  operation.extent = {32, 4, 1};
  operation.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM;
  OK(cuMemcpy3DBatchAsync(1, &operation, 0, stream_));
  const Words found = read(to, 80);
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i], i < 64 && i % 16 < 8 ? 7u : 0u) << i;
  }
}

TEST_F(CopyBatch, ShapedCopiesAreNotEmptyNorWiderThanTheirRows) {
  // cuda.h, cuMemcpy3DBatchAsync: "The width, height and depth of a copy are specified in elements
  // and must not be zero." rowLength "must either be zero or be greater than or equal to the
  // width".
  const CUdeviceptr to = filled(0), from = filled(7);
  CUDA_MEMCPY3D_BATCH_OP operation{};
  operation.src = operand(from, 0);
  operation.dst = operand(to, 16);
  operation.extent = {32, 4, 1};
  operation.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM;
  EXPECT_EQ(cuMemcpy3DBatchAsync(1, &operation, 0, stream_), CUDA_ERROR_INVALID_VALUE);
  operation.dst = operand(to, 32);
  operation.extent = {32, 0, 1};
  EXPECT_EQ(cuMemcpy3DBatchAsync(1, &operation, 0, stream_), CUDA_ERROR_INVALID_VALUE);
}

}  // namespace

#endif
