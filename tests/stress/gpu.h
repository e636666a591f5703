// One thread's view of a GPU: a context with streams of every kind, kernels, and a table of
// addresses in paged memory, which kernels follow. Locking: one thread's own; threads that share
// the primary context take turns with what would break each other's captures natively as well.
#pragma once

#include <cuda.h>

#include <array>
#include <optional>

#include "edit.h"

namespace stress {

class Gpu {
 public:
  enum Stream : unsigned { non_blocking, other_non_blocking, blocking, legacy, per_thread };
  static constexpr unsigned streams = 5;
  static constexpr unsigned slots = 256;
  static constexpr std::size_t staging_words = 1 << 20;

  // In the device's primary context, or in a new one.
  explicit Gpu(bool own_context);
  ~Gpu();
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;
  // Frees everything; where the context is its own, it is destroyed with its buffers in it.
  void close();

  // Of the buffer's kind.
  void allocate(Buffer& buffer);
  void free(const Buffer& buffer);
  // It goes with its context.
  static void forget(const Buffer& buffer);
  // Unmaps what the program mapped itself, and maps it again.
  void remap(const Buffer& buffer);
  // Makes a handle by which another process could open it.
  void share(const Buffer& buffer);

  // Asynchronously, in order on the stream.
  void submit(const Edit& edit, unsigned stream);
  // `later` goes on when what is on `earlier` now has ended.
  void order(unsigned earlier, unsigned later);

  [[nodiscard]] Words read(const Buffer& buffer, std::size_t first, std::size_t count,
                           bool synchronously);
  [[nodiscard]] std::uint64_t sum(const Buffer& buffer, std::size_t first, std::size_t count);

  void wait_for(unsigned stream);
  void wait_for_all();
  // Destroys streams with whatever is in flight on them.
  void renew_streams();

  // Makes a graph of the edits, by capturing them.
  [[nodiscard]] CUgraphExec record(const std::vector<Edit>& edits, unsigned stream);
  void launch(CUgraphExec graph, unsigned stream);
  // A graph of kernels that add, built by hand, one after the other; with its nodes, to be changed.
  struct Built {
    CUgraph graph = nullptr;
    CUgraphExec executable = nullptr;
    std::vector<CUgraphNode> nodes;
  };
  [[nodiscard]] Built build(const std::vector<Edit>& adds);
  void change(const Built& built, std::size_t node, const Edit& add);

 private:
  void create(Buffer& buffer);
  void map(const Buffer& buffer);
  void unmap(const Buffer& buffer);
  void load_library();
  void make_streams();
  void destroy_streams();
  void launch(CUfunction kernel, unsigned blocks, unsigned stream, void** parameters);
  void copy_in(const Edit& edit, unsigned stream);
  void copy_rows(const Edit& edit, unsigned stream);
  void copy_batch(const Edit& edit, unsigned stream);
  void packed_add(const Edit& edit, unsigned stream);

  const bool own_context_;
  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
  CUmodule module_ = nullptr;
  CUfunction fill_ = nullptr, add_ = nullptr, hidden_add_ = nullptr, linger_ = nullptr,
             sum_ = nullptr;
  CUlibrary library_ = nullptr;
  CUkernel add_kernel_ = nullptr;
  std::array<CUstream, streams> streams_{};
  CUevent event_ = nullptr;
  CUdeviceptr table_ = 0;              // of addresses, in a region
  // On which kernels may still look for a buffer that was freed without a wait.
  std::array<std::optional<unsigned>, slots> still_read_on_{};
  std::uint32_t* staging_ = nullptr;   // page-locked
  unsigned staged_on_ = non_blocking;  // the stream that may still read it
  std::uint64_t* sum_result_ = nullptr;
};

}  // namespace stress
