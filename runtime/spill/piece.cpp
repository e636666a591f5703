// Each lane is one thread with one channel, its slots of memory and its packer: it takes the next
// piece, packs it, has it sent while it packs another, and so on. Lanes share the next piece's
// number and the first failure, nothing else.
#include "runtime/spill/piece.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#include "runtime/signals_blocked.h"
#include "runtime/spill/compression.h"

namespace vhbm {
namespace {

// Memory that goes back to the system at once, since it is needed where memory is short.
class Scratch {
 public:
  explicit Scratch(Bytes size)
      : size_(size),
        memory_(
            mmap(nullptr, size.value, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    // A wish: with pages of 4 KiB, faults alone cost as much as a checksum.
    if (is_there()) madvise(memory_, size.value, MADV_HUGEPAGE);
  }
  ~Scratch() {
    if (is_there()) munmap(memory_, size_.value);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  [[nodiscard]] bool is_there() const { return memory_ != MAP_FAILED; }
  [[nodiscard]] std::span<std::byte> part(std::size_t index, Bytes size) const {
    return {static_cast<std::byte*>(memory_) + index * size.value, size.value};
  }

 private:
  const Bytes size_;
  void* const memory_;
};

// Where one piece is while it is on its way.
struct Slot {
  std::size_t piece = 0;
  std::span<std::byte> memory;
  Transfer transfer;
};

// What the lanes of one batch share.
class Progress {
 public:
  explicit Progress(std::size_t count) : count_(count) {}

  // The next piece to begin with; false when there is none, or no point in it.
  [[nodiscard]] bool take(std::size_t& piece) {
    if (failed_.load(std::memory_order_relaxed)) return false;
    piece = next_.fetch_add(1, std::memory_order_relaxed);
    return piece < count_;
  }
  void fail(Status status) {
    std::lock_guard lock(mutex_);
    if (!failed_.exchange(true)) failure_ = std::move(status);
  }
  [[nodiscard]] const Status& outcome() const { return failure_; }

 private:
  const std::size_t count_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  Status failure_;
};

Status no_memory() {
  return {Errc::out_of_memory, "no memory to move bytes between tiers with"};
}

class Writing {
 public:
  Writing(Medium& medium, CompressionChoice compression, std::span<PieceToWrite> pieces)
      : medium_(medium), compression_(compression), pieces_(pieces) {}

  [[nodiscard]] Packer packer() const { return Packer(compression_); }

  [[nodiscard]] Status prepare(Slot& slot, Packer& packer) {
    PieceToWrite& piece = pieces_[slot.piece];
    PieceRecord& record = piece.record;
    std::size_t packed = packer.pack(piece.bytes, slot.memory);
    record.codec = packed == 0 ? Codec::none : compression_.codec;
    if (packed == 0) {
      std::memcpy(slot.memory.data(), piece.bytes.data(), piece.bytes.size());
      packed = piece.bytes.size();
    }
    // Of the plain bytes as they were taken along, from the cache.
    record.checksum =
        checksum_of(record.codec == Codec::none ? slot.memory.first(packed) : piece.bytes);
    record.packed = {packed};
    auto place = medium_.reserve(record.packed);
    if (!place.ok()) return place.status();
    record.place = *place;
    slot.transfer = {Direction::write, *place, slot.memory.first(packed)};
    return {};
  }
  [[nodiscard]] Status complete(Slot&, Packer&) { return {}; }

 private:
  Medium& medium_;
  const CompressionChoice compression_;
  const std::span<PieceToWrite> pieces_;
};

class Reading {
 public:
  Reading(const Medium& medium, std::span<const PieceToRead> pieces)
      : medium_(medium), pieces_(pieces) {}

  [[nodiscard]] Packer packer() const { return Packer({}); }

  [[nodiscard]] Status prepare(Slot& slot, Packer&) {
    const PieceRecord& record = pieces_[slot.piece].record;
    slot.transfer = {Direction::read, record.place, slot.memory.first(record.packed.value)};
    return {};
  }
  [[nodiscard]] Status complete(Slot& slot, Packer& packer) {
    const PieceToRead& piece = pieces_[slot.piece];
    Status status = packer.unpack(piece.record.codec, slot.transfer.bytes, piece.bytes);
    if (status.ok() && checksum_of(piece.bytes) != piece.record.checksum)
      status = {Errc::bytes_corrupted, "a checksum does not match"};
    if (status.code() == Errc::bytes_corrupted)
      return {
          Errc::bytes_corrupted,
          std::string(medium_.name()) + " gave other bytes than it was given: " + status.message()};
    return status;
  }

 private:
  const Medium& medium_;
  const std::span<const PieceToRead> pieces_;
};

template <typename Work>
Status run_lane(Medium& medium, Work& work, Progress& progress) {
  auto opened = medium.open_channel();
  if (!opened.ok()) return opened.status();
  const unsigned depth = (*opened)->depth();
  // The channel ends before the memory that it moves bytes to and from.
  const Scratch scratch(piece_size * depth);
  if (!scratch.is_there()) return no_memory();
  std::vector<Slot> slots(depth);
  std::vector<Slot*> idle;
  for (unsigned i = 0; i < depth; ++i) {
    slots[i].memory = scratch.part(i, piece_size);
    idle.push_back(&slots[i]);
  }
  const std::unique_ptr<Channel> channel = std::move(*opened);
  Packer packer = work.packer();
  for (;;) {
    while (!idle.empty() && progress.take(idle.back()->piece)) {
      Slot& slot = *idle.back();
      if (Status status = work.prepare(slot, packer); !status.ok()) return status;
      if (Status status = channel->begin(slot.transfer); !status.ok()) return status;
      idle.pop_back();
    }
    if (idle.size() == slots.size()) return {};
    auto finished = channel->finish();
    if (!finished.ok()) return finished.status();
    if (!finished->status.ok()) return finished->status;
    for (Slot& slot : slots) {
      if (&slot.transfer != finished->transfer) continue;
      if (Status status = work.complete(slot, packer); !status.ok()) return status;
      idle.push_back(&slot);
    }
  }
}

template <typename Work>
Status run(Medium& medium, Work work, std::size_t count) {
  Progress progress(count);
  const auto lane = [&]() noexcept {
    try {
      if (Status status = run_lane(medium, work, progress); !status.ok())
        progress.fail(std::move(status));
    } catch (const std::bad_alloc&) {
      progress.fail(no_memory());
    }
  };
  std::vector<std::thread> others;
  const std::size_t lanes = std::min<std::size_t>(medium.channels(), count);
  others.reserve(lanes);
  {
    const SignalsBlocked blocked;
    try {
      while (others.size() + 1 < lanes) others.emplace_back(lane);
    } catch (const std::system_error&) {
      // As many as there can be; this thread is one.
    }
  }
  lane();
  for (std::thread& other : others) other.join();
  return progress.outcome();
}

}  // namespace

Status write_pieces(Medium& medium, CompressionChoice compression, std::span<PieceToWrite> pieces) {
  Status status = run(medium, Writing(medium, compression, pieces), pieces.size());
  std::vector<Extent> reserved;
  for (const PieceToWrite& piece : pieces) {
    if (piece.record.place.size.value != 0) reserved.push_back(piece.record.place);
  }
  if (status.ok()) status = medium.settle(reserved);
  if (status.ok()) return status;
  medium.release(reserved);
  return status;
}

Status read_pieces(Medium& medium, std::span<const PieceToRead> pieces) {
  return run(medium, Reading(medium, pieces), pieces.size());
}

}  // namespace vhbm
