// Values are relaxed atomics, read one by one: a claim may be a moment older in one than in
// another, which the next look puts right.
#include "runtime/claims.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace vhbm {
namespace {

constexpr std::uint64_t magic = 0x6d69616c'6d626876;  // "vhbmlaim"
constexpr std::uint64_t layout = 2;
constexpr std::chrono::milliseconds between_looks{100};
constexpr auto relaxed = std::memory_order_relaxed;

std::int64_t count(std::chrono::nanoseconds time) {
  return static_cast<std::int64_t>(time.count());
}

}  // namespace

struct Claims::File {
  SharedHeader header;
  GpuUuid gpu;
  std::atomic<std::uint64_t> id, wants, floor, holds;
  std::atomic<std::uint32_t> gpu_class, priority, active, responds;
  std::atomic<std::int64_t> active_at, active_since, served, turn_since, change, published_at;

  void write(const Claim& claim, std::chrono::nanoseconds now) noexcept {
    id.store(claim.id, relaxed);
    wants.store(claim.wants.value, relaxed);
    floor.store(claim.floor.value, relaxed);
    holds.store(claim.holds.value, relaxed);
    gpu_class.store(static_cast<std::uint32_t>(claim.gpu_class), relaxed);
    priority.store(claim.priority, relaxed);
    active.store(claim.active ? 1 : 0, relaxed);
    responds.store(claim.responds ? 1 : 0, relaxed);
    active_at.store(count(claim.active_at), relaxed);
    active_since.store(count(claim.active_since), relaxed);
    served.store(count(claim.served), relaxed);
    turn_since.store(count(claim.turn_since), relaxed);
    change.store(count(claim.change), relaxed);
    published_at.store(count(now), std::memory_order_release);
  }
  [[nodiscard]] Claim read(std::chrono::nanoseconds now) const noexcept {
    const std::chrono::nanoseconds published(published_at.load(std::memory_order_acquire));
    const auto time = [](const std::atomic<std::int64_t>& from) {
      return std::chrono::nanoseconds(from.load(relaxed));
    };
    return {id.load(relaxed),
            gpu_class.load(relaxed) == 0 ? GpuClass::latency : GpuClass::batch,
            std::clamp(priority.load(relaxed), 1u, 100u),
            {wants.load(relaxed)},
            {floor.load(relaxed)},
            {holds.load(relaxed)},
            active.load(relaxed) != 0,
            responds.load(relaxed) != 0 && now - published < patience,
            time(active_at),
            time(active_since),
            time(served),
            time(turn_since),
            time(change)};
  }
};

Claims::~Claims() {
  if (own_ != nullptr) munmap(own_, sizeof(File));
}

bool Claims::join(int device, std::string* why_not) {
  if (!shared_.create(directory_, sizeof(File), why_not)) return false;
  void* const memory =
      mmap(nullptr, sizeof(File), PROT_READ | PROT_WRITE, MAP_SHARED, shared_.descriptor(), 0);
  if (memory == MAP_FAILED) {
    *why_not = "cannot map a file in " + directory_;
    shared_.close_and_unlink();
    return false;
  }
  own_ = static_cast<File*>(memory);
  describe_process(own_->header, magic, layout, device);
  own_->gpu = gpu_;
  if (shared_.name(claim_suffix, why_not)) return true;
  munmap(own_, sizeof(File));
  own_ = nullptr;
  shared_.close_and_unlink();
  return false;
}

void Claims::withdraw() noexcept {
  shared_.unlink_name();
}

void Claims::leave_to_parent() noexcept {
  shared_.leave_to_parent();
}

void Claims::publish(const Claim& own, std::chrono::nanoseconds now) noexcept {
  if (own_ != nullptr) own_->write(own, now);
}

const std::vector<Claim>& Claims::all(std::chrono::nanoseconds now) {
  std::erase_if(others_, [](const Other& other) { return !other.watched->is_held(); });
  if (now >= next_look_) {
    look_for_others();
    next_look_ = now + between_looks;
  }
  all_.clear();
  all_.push_back(own_->read(now));
  for (const Other& other : others_) all_.push_back(other.file->read(now));
  return all_;
}

void Claims::look_for_others() {
  const std::vector<std::string> paths = shared_files(directory_, claim_suffix);
  std::erase_if(strangers_, [&](const std::string& path) {
    return std::find(paths.begin(), paths.end(), path) == paths.end();
  });
  for (const std::string& path : paths) {
    const bool known = std::any_of(others_.begin(), others_.end(),
                                   [&](const Other& other) { return other.path == path; });
    if (known || std::find(strangers_.begin(), strangers_.end(), path) != strangers_.end()) {
      continue;
    }
    auto watched = std::make_unique<WatchedFile>(path);
    if (!watched->is_open() || !watched->is_held()) continue;
    const auto* file = static_cast<const File*>(watched->map(sizeof(File), magic, layout));
    if (file == nullptr || file->gpu != gpu_ || shared_.is_at(path)) {
      strangers_.push_back(path);
    } else {
      others_.push_back({path, std::move(watched), file});
    }
  }
}

}  // namespace vhbm
