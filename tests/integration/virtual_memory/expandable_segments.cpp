// As PyTorch's caching allocator does with expandable_segments:True (c10/cuda/
// CUDACachingAllocator.cpp): a segment reserves more addresses than the device has memory, is
// mapped piece by piece at its end as tensors need it, and gives pieces in its middle back after
// waiting for the device, which it fills again later.
#include "program.h"

namespace {

class Segment {
 public:
  Segment(Program& program, std::size_t piece, std::size_t most)
      : program_(program), piece_(piece), handles_(most), address_(program.reserve(piece * most)) {}
  ~Segment() {
    program_.synchronize();
    for (std::size_t i = 0; i < handles_.size(); ++i) unmap(i, i + 1);
    CHECK(cuMemAddressFree(address_, piece_ * handles_.size()));
  }

  // Maps what is not mapped of [begin, end), and opens each stretch of it by one call.
  void map(std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const std::size_t first = i;
      for (; i < end && handles_[i] == 0; ++i) {
        handles_[i] =
            program_.create(piece_, program_.on_device(CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
      }
      for (std::size_t mapped = first; mapped < i; ++mapped) {
        program_.map(at(mapped), piece_, handles_[mapped]);
      }
      if (i > first) program_.open(at(first), (i - first) * piece_);
    }
  }
  void unmap(std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      if (handles_[i] == 0) continue;
      CHECK(cuMemUnmap(at(i), piece_));
      CHECK(cuMemRelease(handles_[i]));
      handles_[i] = 0;
    }
  }
  CUdeviceptr at(std::size_t piece) const { return address_ + piece * piece_; }
  std::size_t piece() const { return piece_; }

 private:
  Program& program_;
  const std::size_t piece_;
  std::vector<CUmemGenericAllocationHandle> handles_;  // 0: not mapped
  const CUdeviceptr address_;
};

// A tensor over `pieces` pieces, which ends inside the last one.
void use(Program& program, const Segment& segment, std::size_t first, std::size_t pieces) {
  program.compute(segment.at(first), pieces * segment.piece() - 4096);
}

}  // namespace

void expandable_segments(Program& program) {
  constexpr std::size_t small_pieces = 10, large_pieces = 2;
  std::size_t free = 0, total = 0;
  CHECK(cuMemGetInfo(&free, &total));
  Segment small(program, 2 * mebibyte, total / (2 * mebibyte) + small_pieces);
  Segment large(program, 20 * mebibyte, total / (20 * mebibyte) + large_pieces);
  small.map(0, small_pieces);
  large.map(0, large_pieces);
  program.fill(small.at(0), small_pieces * small.piece());
  program.fill(large.at(0), large_pieces * large.piece());
  for (int round = 0; round < 3; ++round) {
    for (int tensor = 0; tensor < 2; ++tensor) {
      const std::size_t first = program.random(small_pieces - 1);
      use(program, small, first, 1 + program.random(small_pieces - first));
      use(program, large, tensor % large_pieces, 1);
    }
    use(program, large, 0, large_pieces);
    // Tensors in the middle are freed, and the pieces behind them given back.
    const std::size_t begin = 1 + program.random(3), end = small_pieces - 1 - program.random(3);
    program.digest(small.at(0), small.piece() * small_pieces);
    small.unmap(begin, end);
    if (round % 3 == 2) {
      program.digest(large.at(1), large.piece());
      large.unmap(1, 2);
      large.map(1, 2);
      program.fill(large.at(1), large.piece());
    }
    use(program, small, 0, begin);
    // They grow again, in two steps.
    small.map(begin, begin + 1);
    program.fill(small.at(begin), small.piece());
    small.map(0, small_pieces);
    program.fill(small.at(begin + 1), (end - begin - 1) * small.piece());
  }
  program.digest(small.at(0), small.piece() * small_pieces);
  program.digest(large.at(0), large.piece() * large_pieces);
}
