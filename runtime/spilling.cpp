#include "runtime/spilling.h"

#include <sys/mman.h>

#include <algorithm>

#include "runtime/context_scope.h"
#include "runtime/log.h"

namespace vhbm {
namespace {

// What is on its way at once.
constexpr Bytes staging_size = mib(32);
// A store that refused is not asked again at once.
constexpr std::chrono::seconds pause_after_failure{30};
// A copy that takes this long is not slow but stuck.
constexpr std::chrono::seconds copy_patience{2};
const AccessList no_access{};

Status no_copies() {
  return {Errc::abandoned, "copies between host memory and staging memory fail"};
}

bool may_pass(Errc code) {
  return code == Errc::tier_unreachable || code == Errc::out_of_memory || code == Errc::abandoned ||
         code == Errc::driver_error;
}

}  // namespace

Spilling::~Spilling() {
  if (!staging_.empty()) munmap(staging_.data(), staging_.size());
}

bool Spilling::make_staging(Bytes chunk) {
  chunk_ = chunk;
  block_ = std::min(chunk, staging_size);
  if (!staging_.empty()) return true;
  void* const memory = mmap(nullptr, staging_size.value, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  staging_ = {static_cast<std::byte*>(memory), staging_size.value};
  return true;
}

Spilling::Found Spilling::find(Device& device, const Chunk& chunk, PageState state) {
  Region* const region = device.regions.region_at(chunk.address);
  if (region == nullptr || region->view.id != chunk.region ||
      device.pages.state(device.page_of(chunk.address)) != state)
    return {};
  return {region, (chunk.address - region->view.base).value / region->chunk_size.value};
}

std::vector<Spilling::Chunk> Spilling::choose(Device& device) {
  const std::size_t most = std::max<std::size_t>(staging_size.value / chunk_.value, 1);
  const std::uint64_t blocks = chunk_.value / block_.value;
  std::vector<Chunk> chunks;
  std::lock_guard lock(device.lock);
  for (const Region* region : device.regions.live()) {
    // What the application mapped itself, it may unmap without passing the gate.
    if (region->memory != nullptr || region->whole != 0 || region->held) continue;
    for (std::size_t i = 0; i < region->frames.size() && chunks.size() < most; ++i) {
      const DeviceAddress address = region->address_of(i);
      if (device.pages.state(device.page_of(address)) != PageState::host_mapped) continue;
      chunks.push_back({address, region->view.id, {next_key_}, region->frames[i]});
      next_key_ += blocks;
    }
  }
  return chunks;
}

std::vector<Spilling::Part> Spilling::parts(std::span<const Chunk> chunks, Bytes begin) const {
  std::vector<Part> parts;
  const Bytes end = std::min(chunk_ * chunks.size(), begin + staging_size);
  for (Bytes at = begin; at < end; at += block_) {
    const std::size_t chunk = at.value / chunk_.value;
    const Bytes offset{at.value % chunk_.value};
    parts.push_back({chunk,
                     offset,
                     {chunks[chunk].first.value + offset.value / block_.value},
                     staging_.subspan((at - begin).value, block_.value)});
  }
  return parts;
}

bool Spilling::in_flight(Device& device) {
  std::lock_guard lock(device.lock);
  return device.copier.poll() == CUDA_ERROR_NOT_READY;
}

bool Spilling::copy(Device& device, std::span<const Chunk> chunks, std::span<const Part> parts,
                    PageState state) {
  std::lock_guard lock(device.lock);
  const ContextScope scope(device.driver, device.copier.context());
  if (scope.result() != CUDA_SUCCESS) return false;
  bool all = true;
  for (const Part& part : parts) {
    const Chunk& chunk = chunks[part.chunk];
    // Freed meanwhile: nobody wants its bytes.
    if (find(device, chunk, state).region == nullptr) continue;
    all = all && device.frames->ensure_alias(chunk.frame).ok();
    if (!all) break;
    const DeviceAddress frame = chunk.frame->alias + part.offset;
    const DeviceAddress staging{reinterpret_cast<std::uint64_t>(part.staging.data())};
    const bool down = state == PageState::host_mapped;
    all =
        device.copier.copy(down ? staging : frame, down ? frame : staging, block_) == CUDA_SUCCESS;
    if (!all) break;
  }
  // Also after a failure: the staging memory is used again.
  return device.copier.wait(copy_patience) == CUDA_SUCCESS && all;
}

void Spilling::send_down(Device& device, std::chrono::nanoseconds asleep_for) {
  if (asleep_for < after_ || Clock::now() < next_attempt_ || device.frozen()) return;
  if (!make_staging(device.frames->frame_size())) return;
  {
    std::lock_guard lock(device.lock);
    if (!device.prepare_copies()) return;
  }
  if (in_flight(device)) return;
  const std::vector<Chunk> chunks = choose(device);
  if (chunks.empty()) return;
  if (Status kept = keep(device, chunks); !kept.ok()) {
    drop(chunks);
    next_attempt_ = Clock::now() + pause_after_failure;
    log_warn("this process sleeps on in host memory: {}", kept.message());
    return;
  }
  let_go(device, places_[&device], chunks);
}

Status Spilling::keep(Device& device, std::span<const Chunk> chunks) {
  for (Bytes at; at < chunk_ * chunks.size(); at += staging_size) {
    const std::vector<Part> moving = parts(chunks, at);
    if (!copy(device, chunks, moving, PageState::host_mapped)) return no_copies();
    std::vector<BlockSource> blocks;
    for (const Part& part : moving) blocks.push_back({part.key, part.staging});
    if (Status status = store_->write(blocks); !status.ok()) return status;
  }
  return {};
}

void Spilling::let_go(Device& device, Place& place, std::span<const Chunk> chunks) {
  std::vector<Chunk> not_wanted;
  std::lock_guard lock(device.lock);
  for (const Chunk& chunk : chunks) {
    const Found found = find(device, chunk, PageState::host_mapped);
    if (found.region == nullptr || found.region->frames[found.index] != chunk.frame) {
      not_wanted.push_back(chunk);
      continue;
    }
    Region& region = *found.region;
    // The first to go leaves its frame for all to stand in.
    const bool first = place.stand_in == nullptr || place.stand_in->stands_in_for == 0;
    Frame* const stand_in = first ? chunk.frame : place.stand_in;
    const Mapper::Switched switched =
        device.mapper->replace(chunk.address, {{&chunk.frame->handle, 1}, chunk_}, region.access,
                               {{&stand_in->handle, 1}, chunk_}, no_access);
    if (switched == Mapper::Switched::broken)
      device.freeze("a range could be mapped neither to its frame nor to what stands in");
    if (switched != Mapper::Switched::yes) {
      not_wanted.push_back(chunk);
      continue;
    }
    (void)device.move(chunk.address, PageState::host_mapped, PageState::spilled);
    if (const CleanCopy copy = device.take_copy(region, found.index); copy.frame != nullptr)
      device.frames->give_back(copy.frame);
    place.stand_in = region.frames[found.index] = stand_in;
    device.frames->stand_in(stand_in);
    if (!first) device.frames->give_back(chunk.frame);
    place.below.push_back(chunk);
    place.below.back().frame = nullptr;
  }
  while (device.frames->shrink(Tier::host, 0)) {
  }
  device.stats.set(Stat::spilled_bytes, (chunk_ * place.below.size()).value);
  drop(not_wanted);
}

void Spilling::drop(std::span<const Chunk> chunks) {
  std::vector<BlockKey> keys;
  for (const Chunk& chunk : chunks) {
    for (std::uint64_t i = 0; i < chunk_.value / block_.value; ++i)
      keys.push_back({chunk.first.value + i});
  }
  store_->drop(keys);
}

bool Spilling::bring_back(Device& device) {
  const auto found = places_.find(&device);
  if (found == places_.end() || found->second.below.empty()) return true;
  Place& place = found->second;
  if (!make_staging(device.frames->frame_size())) return false;
  const Bytes lost_before = place.lost;
  Status why_lost;
  std::size_t together = std::max<std::size_t>(staging_size.value / chunk_.value, 1);
  while (!place.below.empty()) {
    std::vector<Chunk> chunks(
        place.below.begin(),
        place.below.begin() + static_cast<std::ptrdiff_t>(std::min(together, place.below.size())));
    const Status status = fetch(device, chunks);
    // Which of them it is shows one by one.
    if (!status.ok() && chunks.size() > 1) {
      together = 1;
      continue;
    }
    if (!status.ok() && may_pass(status.code())) {
      const auto now = Clock::now();
      if (failing_since_ == Clock::time_point{}) {
        failing_since_ = now;
        log_warn("this process cannot wake yet: {}", status.message());
      }
      if (now - failing_since_ < patience) return false;
    }
    if (!status.ok()) {
      place.lost += chunk_;
      why_lost = status;
    }
    drop(chunks);
    place.below.erase(place.below.begin(),
                      place.below.begin() + static_cast<std::ptrdiff_t>(chunks.size()));
    if (status.ok()) failing_since_ = {};
    device.stats.set(Stat::spilled_bytes, (chunk_ * place.below.size()).value);
  }
  failing_since_ = {};
  if (place.lost != lost_before) {
    device.stats.set(Stat::lost_bytes, place.lost.value);
    log_error("{} bytes of device {} are lost, and work that touches them gets an error: {}",
              (place.lost - lost_before).value, device.ordinal, why_lost.message());
  }
  // What is lost may still be on its way.
  if (in_flight(device)) return true;
  munmap(staging_.data(), staging_.size());
  staging_ = {};
  return true;
}

Status Spilling::fetch(Device& device, std::span<Chunk> chunks) {
  if (in_flight(device)) return no_copies();
  Status status = take_frames(device, chunks);
  for (Bytes at; status.ok() && at < chunk_ * chunks.size(); at += staging_size) {
    const std::vector<Part> moving = parts(chunks, at);
    std::vector<BlockTarget> blocks;
    for (const Part& part : moving) {
      if (chunks[part.chunk].frame != nullptr) blocks.push_back({part.key, part.staging});
    }
    status = store_->read(blocks);
    if (status.ok() && !copy(device, chunks, moving, PageState::spilled)) status = no_copies();
  }
  if (status.ok()) status = map(device, chunks);
  std::lock_guard lock(device.lock);
  const bool lands_later = device.copier.poll() == CUDA_ERROR_NOT_READY;
  for (const Chunk& chunk : chunks) {
    if (chunk.frame == nullptr || chunk.frame == places_[&device].stand_in) continue;
    if (lands_later) {
      device.quarantine.push_back(chunk.frame);
    } else {
      device.frames->give_back(chunk.frame);
    }
    device.frames->keep_promise();
  }
  return status;
}

Status Spilling::take_frames(Device& device, std::span<Chunk> chunks) {
  std::lock_guard lock(device.lock);
  const Place& place = places_[&device];
  for (Chunk& chunk : chunks) {
    chunk.frame = nullptr;
    if (find(device, chunk, PageState::spilled).region == nullptr) continue;
    auto frame = device.frames->take_promised();
    if (frame.ok()) {
      chunk.frame = *frame;
    } else if (place.stand_in->stands_in_for == 1) {
      // The last one comes back to the very frame that stands in for it.
      chunk.frame = place.stand_in;
    } else {
      return frame.status();
    }
  }
  return {};
}

// A chunk that was mapped has no frame left to give back.
Status Spilling::map(Device& device, std::span<Chunk> chunks) {
  std::lock_guard lock(device.lock);
  for (Chunk& chunk : chunks) {
    const Found found = find(device, chunk, PageState::spilled);
    if (found.region == nullptr || chunk.frame == nullptr) continue;
    Region& region = *found.region;
    Frame* const stand_in = region.frames[found.index];
    switch (device.mapper->replace(chunk.address, {{&stand_in->handle, 1}, chunk_}, no_access,
                                   {{&chunk.frame->handle, 1}, chunk_}, region.access)) {
      case Mapper::Switched::yes:
        break;
      case Mapper::Switched::restored:
        return {Errc::abandoned, "the driver does not map what came back"};
      case Mapper::Switched::broken:
        device.freeze("a range could be mapped neither to its frame nor to what stands in");
        return {Errc::bytes_lost, "the driver mapped neither what came back nor what stood in"};
    }
    const bool in_hbm = chunk.frame->tier == Tier::hbm;
    (void)device.move(chunk.address, PageState::spilled,
                      in_hbm ? PageState::resident : PageState::host_mapped);
    if (in_hbm) device.account(region, device.regions.host_mapped(region.index) - chunk_);
    region.frames[found.index] = chunk.frame;
    device.frames->stood_in(stand_in, chunk.frame);
    chunk.frame = nullptr;
  }
  return {};
}

}  // namespace vhbm
