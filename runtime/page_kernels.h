// The pager's own kernels in one context: hashes of chunks, and copies that hash what they copy.
// Results land in page-locked memory that only the pager reads. Where they cannot be had (no image
// for this GPU, a wrong answer in the self-test) nothing is hashed, and evictions are copied behind
// the gate. Locking: the device's lock.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <span>

#include "runtime/driver.h"
#include "runtime/kernels/chunk_hash.h"
#include "runtime/status.h"
#include "runtime/units.h"

namespace vhbm {

class PageKernels {
 public:
  // Two users whose results do not meet: what runs behind the gate, and what runs beside the
  // application.
  enum class Lane { gate, background };

  explicit PageKernels(const Driver& driver) : driver_(driver) {}
  ~PageKernels();
  PageKernels(const PageKernels&) = delete;
  PageKernels& operator=(const PageKernels&) = delete;

  // Loads the kernels into `context`, with room for `most` results a lane, and tries them on
  // `stream`, waiting for it. Harmless when they are there; goes on where an attempt failed.
  //   Errc::unsupported, Errc::driver_error  usable() stays false, for good when given_up()
  [[nodiscard]] Status prepare(CUcontext context, CUstream stream, std::size_t most);
  [[nodiscard]] bool usable() const { return usable_; }
  [[nodiscard]] bool given_up() const { return given_up_; }
  [[nodiscard]] CUcontext context() const { return context_; }
  // The module dies with its context.
  void context_destroyed(CUcontext context);

  [[nodiscard]] std::size_t most() const { return most_; }
  // Queues the hashing of chunks of `size` bytes; result(lane, first + i) is chunk i's once the
  // stream got there. Needs the context to be current; first + chunks.size() is at most most().
  [[nodiscard]] CUresult hash(Lane lane, std::size_t first, std::span<const DeviceAddress> chunks,
                              Bytes size, CUstream stream);
  // As hash(), of what is copied from `from` to `to` on the way.
  [[nodiscard]] CUresult copy(Lane lane, std::size_t first, std::span<const DeviceAddress> from,
                              std::span<const DeviceAddress> to, Bytes size, CUstream stream);
  [[nodiscard]] Hash result(Lane lane, std::size_t index) const;

 private:
  [[nodiscard]] Status load();
  [[nodiscard]] Status make_room(std::size_t most);
  [[nodiscard]] Status try_out(CUstream stream);
  [[nodiscard]] CUresult launch(CUfunction kernel, Hash* sums, std::span<const DeviceAddress> from,
                                std::span<const DeviceAddress> to, Bytes size, CUstream stream);
  [[nodiscard]] Hash* sums(Lane lane, std::size_t index) const;
  [[nodiscard]] static Hash result_of(const Hash* sums);

  const Driver& driver_;
  CUcontext context_ = nullptr;
  CUmodule module_ = nullptr;
  CUfunction hash_ = nullptr, copy_ = nullptr;
  Hash* sums_ = nullptr;  // [lane][index][part]
  std::size_t most_ = 0;
  bool usable_ = false, given_up_ = false;
  int failures_ = 0;  // of prepare(), in a row
};

// The same hash, computed by this thread. `size` is a multiple of 16.
[[nodiscard]] Hash hash_of(const void* bytes, std::size_t size);

}  // namespace vhbm
