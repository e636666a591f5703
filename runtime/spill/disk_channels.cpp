#include "runtime/spill/disk_channels.h"

#include <liburing.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace vhbm {
namespace {

constexpr unsigned ring_depth = 4;

// O_DIRECT moves whole units; the memory has them, and so has the place.
Bytes on_disk(const Transfer& transfer) {
  return Bytes{transfer.bytes.size()}.rounded_up_to(Extents::unit);
}

// Moves what is left of a transfer once `done` bytes were moved.
Status move_rest(int descriptor, const std::string& name, const Transfer& transfer,
                 std::uint64_t done) {
  const std::uint64_t size = on_disk(transfer).value;
  while (done < size) {
    const off_t offset = static_cast<off_t>(transfer.place.offset.value + done);
    const ssize_t moved =
        transfer.direction == Direction::write
            ? pwrite(descriptor, transfer.bytes.data() + done, size - done, offset)
            : pread(descriptor, transfer.bytes.data() + done, size - done, offset);
    if (moved < 0 && errno == EINTR) continue;
    if (moved < 0) return disk_failure(name, errno);
    if (moved == 0) return {Errc::bytes_lost, name + ": the file ends before its bytes do"};
    done += static_cast<std::uint64_t>(moved);
  }
  return {};
}

class RingChannel : public Channel {
 public:
  RingChannel(int descriptor, std::string name) : descriptor_(descriptor), name_(std::move(name)) {}
  ~RingChannel() override {
    if (!is_open_) return;
    while (in_flight_ != 0 && finish().ok()) {
    }
    io_uring_queue_exit(&ring_);
  }

  [[nodiscard]] int open() {
    const int outcome = io_uring_queue_init(ring_depth, &ring_, 0);
    is_open_ = outcome == 0;
    return -outcome;
  }

  [[nodiscard]] unsigned depth() const override { return ring_depth; }

  [[nodiscard]] Status begin(Transfer& transfer) override {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    if (entry == nullptr)
      return {Errc::system_error, name_ + ": more requests than were asked for"};
    const auto size = static_cast<unsigned>(on_disk(transfer).value);
    if (transfer.direction == Direction::write)
      io_uring_prep_write(entry, descriptor_, transfer.bytes.data(), size,
                          transfer.place.offset.value);
    else
      io_uring_prep_read(entry, descriptor_, transfer.bytes.data(), size,
                         transfer.place.offset.value);
    io_uring_sqe_set_data(entry, &transfer);
    int submitted = 0;
    do {
      submitted = io_uring_submit(&ring_);
    } while (submitted == -EINTR || submitted == -EAGAIN);
    if (submitted < 0) return disk_failure(name_, -submitted);
    ++in_flight_;
    return {};
  }

  [[nodiscard]] Result<Finished> finish() override {
    io_uring_cqe* completion = nullptr;
    int outcome = 0;
    do {
      outcome = io_uring_wait_cqe(&ring_, &completion);
    } while (outcome == -EINTR);
    if (outcome < 0) return disk_failure(name_, -outcome);
    auto* transfer = static_cast<Transfer*>(io_uring_cqe_get_data(completion));
    const int moved = completion->res;
    io_uring_cqe_seen(&ring_, completion);
    --in_flight_;
    if (moved < 0 && moved != -EINTR && moved != -EAGAIN)
      return Finished{transfer, disk_failure(name_, -moved)};
    return Finished{transfer, move_rest(descriptor_, name_, *transfer,
                                        static_cast<std::uint64_t>(moved < 0 ? 0 : moved))};
  }

 private:
  const int descriptor_;
  const std::string name_;
  io_uring ring_{};
  bool is_open_ = false;
  unsigned in_flight_ = 0;
};

class PlainChannel : public Channel {
 public:
  PlainChannel(int descriptor, std::string name)
      : descriptor_(descriptor), name_(std::move(name)) {}

  [[nodiscard]] unsigned depth() const override { return 1; }
  [[nodiscard]] Status begin(Transfer& transfer) override {
    begun_ = &transfer;
    return move_rest(descriptor_, name_, transfer, 0);
  }
  [[nodiscard]] Result<Finished> finish() override { return Finished{begun_, {}}; }

 private:
  const int descriptor_;
  const std::string name_;
  Transfer* begun_ = nullptr;
};

}  // namespace

Status ring_status() {
  const int error = RingChannel(-1, "").open();
  if (error == 0) return {};
  return {Errc::unsupported, std::string("no io_uring here (") + std::strerror(error) + ")"};
}

Result<std::unique_ptr<Channel>> open_ring_channel(int descriptor, const std::string& name) {
  auto channel = std::make_unique<RingChannel>(descriptor, name);
  if (const int error = channel->open(); error != 0) return disk_failure(name, error);
  return std::unique_ptr<Channel>(std::move(channel));
}

std::unique_ptr<Channel> open_plain_channel(int descriptor, const std::string& name) {
  return std::make_unique<PlainChannel>(descriptor, name);
}

Status disk_failure(const std::string& name, int error) {
  const bool is_full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  return {is_full ? Errc::tier_full : Errc::tier_unreachable,
          name + (is_full ? " is full: " : " fails: ") + std::strerror(error)};
}

}  // namespace vhbm
