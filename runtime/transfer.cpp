#include "runtime/transfer.h"

#include <algorithm>

#include "runtime/log.h"

namespace vhbm {
namespace {

// A copy that takes this long is not slow but stuck.
constexpr std::chrono::seconds copy_patience{2};
// Of a flip in both directions: enough of them that the first and the last, of which nothing is
// done meanwhile, matter little.
constexpr std::size_t pieces_in_a_flip = 8;

std::uint64_t rate_of(Bytes copied, std::chrono::steady_clock::duration took) {
  const std::chrono::duration<double> seconds = took;
  return seconds.count() <= 0
             ? 0
             : static_cast<std::uint64_t>(static_cast<double>(copied.value) / seconds.count());
}

}  // namespace

std::size_t Transfer::piece() const {
  return std::max<std::size_t>(device_.most_at_once() / pieces_in_a_flip, 1);
}

bool Transfer::queue(std::span<Move> chunks) {
  if (flying_.empty()) {
    begin_ = std::chrono::steady_clock::now();
    landed_ = {};
  }
  Piece& piece = flying_.emplace_back(Piece{chunks, next_lane_, false, {}});
  next_lane_ = (next_lane_ + 1) % Copier::most_lanes;
  return queue_copies(piece);
}

bool Transfer::queue_copies(Piece& piece) {
  const std::span<Move> moves = piece.chunks;
  for (std::size_t i = 0, count = 0; i < moves.size(); i += count) {
    count = 1;
    if (moves[i].has_copy) continue;
    // Neighbours on both sides are one copy.
    const Bytes each = moves[i].region->chunk_size;
    while (i + count < moves.size() && !moves[i + count].has_copy &&
           moves[i + count].from->alias == moves[i].from->alias + each * count &&
           moves[i + count].to->alias == moves[i].to->alias + each * count) {
      ++count;
    }
    piece.copies = true;
    const CUresult result =
        device_.copier.copy(moves[i].to->alias, moves[i].from->alias, each * count, piece.lane);
    if (result != CUDA_SUCCESS) return refused(result);
  }
  const CUresult result = piece.copies ? queue_hashes(piece) : CUDA_SUCCESS;
  return result == CUDA_SUCCESS || refused(result);
}

CUresult Transfer::queue_hashes(Piece& piece) {
  PageKernels& kernels = device_.kernels;
  if (piece.chunks.front().to->tier == Tier::host || !kernels.usable()) return CUDA_SUCCESS;
  std::vector<DeviceAddress> arrivals;
  for (Move& move : piece.chunks) {
    if (move.vacated || move.ahead) continue;
    piece.hashed.push_back(&move);
    arrivals.push_back(move.to->alias);
  }
  return kernels.hash(PageKernels::Lane::gate, first_result(piece), arrivals,
                      device_.frames->frame_size(), device_.copier.stream(piece.lane));
}

std::size_t Transfer::first_result(const Piece& piece) const {
  return piece.lane * (device_.kernels.most() / Copier::most_lanes);
}

std::span<Move> Transfer::land() {
  Piece piece = std::move(flying_.front());
  flying_.pop_front();
  if (!piece.copies) return piece.chunks;
  const CUresult landed = device_.copier.wait(copy_patience, meanwhile_, piece.lane);
  if (landed != CUDA_SUCCESS) {
    failed(landed, device_.copier.poll());
    return {};
  }
  for (const Move& move : piece.chunks) {
    if (!move.has_copy) landed_ += move.region->chunk_size;
  }
  const bool to_host = piece.chunks.front().to->tier == Tier::host;
  device_.stats.raise(to_host ? Stat::link_to_host : Stat::link_to_hbm,
                      rate_of(landed_, std::chrono::steady_clock::now() - begin_));
  for (std::size_t i = 0; i < piece.hashed.size(); ++i) {
    piece.hashed[i]->has_copy = true;
    piece.hashed[i]->hash =
        device_.kernels.result(PageKernels::Lane::gate, first_result(piece) + i);
  }
  return piece.chunks;
}

bool Transfer::hash(std::span<const DeviceAddress> chunks) {
  const CUresult queued = device_.kernels.hash(
      PageKernels::Lane::gate, 0, chunks, device_.frames->frame_size(), device_.copier.stream());
  const CUresult landed = device_.copier.wait(copy_patience, meanwhile_);
  if (queued == CUDA_SUCCESS && landed == CUDA_SUCCESS) return true;
  failed(queued == CUDA_SUCCESS ? landed : queued, landed);
  return false;
}

bool Transfer::refused(CUresult result) {
  failed(result, device_.copier.wait(copy_patience, meanwhile_));
  return false;
}

// An error tells nothing of the copies, neither of these nor of others'.
void Transfer::failed(CUresult result, CUresult all) {
  flying_.clear();
  unknown_ = all != CUDA_SUCCESS;
  device_.gpu_failed("copies between HBM and host fail");
  static constinit Seldom seldom;
  seldom.warn("a copy between HBM and host failed or hung (CUDA error {}): nothing of it was moved",
              static_cast<int>(result));
}

}  // namespace vhbm
