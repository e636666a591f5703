// Frames are taken from HBM first and from the host next; what is kept for promotions comes last,
// for an allocation is only refused when both limits are reached.
#include "runtime/allocator.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "runtime/context_scope.h"
#include "runtime/log.h"

namespace vhbm {
namespace {

std::vector<CUmemGenericAllocationHandle> handles_of(const std::vector<Frame*>& frames) {
  std::vector<CUmemGenericAllocationHandle> handles;
  handles.reserve(frames.size());
  for (const Frame* frame : frames) handles.push_back(frame->handle);
  return handles;
}

PageState state_on(const Frame& frame) {
  return frame.tier == Tier::hbm ? PageState::resident : PageState::host_mapped;
}

}  // namespace

template <typename Attempt>
auto Allocator::patiently(Attempt&& attempt) {
  const auto deadline = std::chrono::steady_clock::now() + handover_patience;
  for (;;) {
    bool again = false;
    auto made = attempt(&again);
    if (!again || std::chrono::steady_clock::now() >= deadline) {
      if (!made.ok()) device_.frames->want_host(0);
      if (made.status().code() == Errc::out_of_memory) device_.stats.add(Stat::out_of_memory, 1);
      return made;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
}

Result<DeviceAddress> Allocator::allocate(Bytes size) {
  CUcontext context = nullptr;
  // A region that belongs to no context would outlive its own.
  if (const CUresult result = device_.driver.cuCtxGetCurrent(&context); result != CUDA_SUCCESS) {
    return Status::driver(result, "cuCtxGetCurrent");
  }
  // Whoever has memory here may work on it, even where nobody announced the context.
  if (context != nullptr) device_.drain.context_created(context);
  return allocate({size, context, RegionKind::plain, nullptr, 0});
}

Result<DeviceAddress> Allocator::allocate(const Request& request) {
  const Bytes size = request.size;
  if (size.value == 0) return Status(Errc::invalid_value, "an allocation of no bytes");
  if (size < device_.options.min_region_size.resolve(device_.total, mib(2))) {
    return Status(Errc::too_small, "below min_region_size");
  }
  if (size > device_.space.size()) return Status(Errc::out_of_memory, "larger than the window");
  RelaxedCapture relaxed(device_.driver);
  return patiently([&](bool* again) { return try_to_allocate(request, again); });
}

Result<std::vector<Frame*>> Allocator::back(std::size_t count) {
  return patiently([&](bool* again) -> Result<std::vector<Frame*>> {
    std::lock_guard lock(device_.lock);
    std::vector<Frame*> frames;
    spare_host(count);
    Status status = take_frames(count, frames);
    if (status.ok()) return frames;
    *again = status.code() == Errc::out_of_memory && more_soon(count);
    return status;
  });
}

bool Allocator::more_soon(std::size_t count) const {
  if (!device_.settled() || device_.idle.pending()) return true;
  const Frames& frames = *device_.frames;
  const std::size_t coming = frames.growing() ? 1 : 0;
  return count <= frames.available(Tier::hbm) + frames.available(Tier::host) + coming &&
         (coming != 0 || frames.others_may_yield());
}

void Allocator::apply_rules(Region& region) const {
  for (const TagRule& rule : device_.options.tag_rules) {
    if (!rule.matches(region.view.size)) continue;
    if (rule.tag) region.tag = {*rule.tag, 100, "a [[tag]] rule of the configuration"};
    region.held = rule.held;
    break;
  }
}

void Allocator::describe(Region& region, const Request& request, DeviceAddress base) const {
  region.view = {region.view.id,  base,         request.size, device_.ordinal,
                 request.context, request.kind, request.pool};
  region.tag = {};
  region.held = false;
  region.view.shareable = request.kind == RegionKind::plain && device_.exports_files;
  apply_rules(region);
}

Result<DeviceAddress> Allocator::try_to_allocate(const Request& request, bool* again) {
  auto region = std::make_unique<Region>();
  region->chunk_size = device_.frames->frame_size();
  const Bytes mapped = request.size.rounded_up_to(region->chunk_size);

  std::lock_guard lock(device_.lock);
  if (request.kind == RegionKind::stream_ordered) {
    if (Region* const reused = reuse(request, mapped); reused != nullptr) {
      publish(*reused);
      return reused->view.base;
    }
  }
  const std::size_t chunks = mapped.value / region->chunk_size.value;
  spare_host(chunks);
  const auto base = device_.space.carve(mapped, region->chunk_size);
  if (!base) return Status(Errc::out_of_memory, "the window has no free range of that size");
  describe(*region, request, *base);
  Status status = take_frames(chunks, region->frames);
  if (status.ok()) {
    status = map(*region);
    if (status.ok()) {
      region->copies.resize(region->frames.size());
      if (Region* added = device_.regions.add(region); added != nullptr) {
        give_pages(*added);
        publish(*added);
        return *base;
      }
      status = Status(Errc::out_of_memory, "there are as many regions as there can be");
      if (!device_.mapper->unmap(*base, mapped).ok()) return status;
      give_back(region->frames);
    }
  }
  device_.space.give_back(*base, mapped);
  *again = status.code() == Errc::out_of_memory && more_soon(chunks);
  return status;
}

void Allocator::spare_host(std::size_t count) {
  if (device_.frames->available_hbm_beyond_spare() >= count) return;
  give_up_idle(IdleRegions::Clock::now());
}

Status Allocator::take_frames(std::size_t count, std::vector<Frame*>& frames) {
  Frames& pool = *device_.frames;
  frames.reserve(count);
  const auto take = [&](Tier tier, std::size_t most) -> Status {
    for (; most > 0 && frames.size() < count; --most) {
      auto frame = pool.take(tier);
      if (!frame.ok()) return frame.status();
      frames.push_back(*frame);
    }
    return {};
  };
  // A host frame is made only when all of the request can be met, since making one is slow.
  const std::size_t within = pool.available(Tier::hbm) + pool.available(Tier::host);
  Status status(Errc::out_of_memory, "hbm_limit and host_limit are reached");
  if (count <= within) {
    Status hbm = take(Tier::hbm, pool.available_hbm_beyond_spare());
    Status host = take(Tier::host, pool.available(Tier::host));
    Status spare = take(Tier::hbm, pool.available(Tier::hbm));
    if (frames.size() == count) return {};
    for (const Status* why : {&hbm, &host, &spare}) {
      if (!why->ok()) status = *why;
    }
    if (status.code() == Errc::out_of_memory) pool.want_host(count - frames.size());
  }
  give_back(frames);
  return status;
}

void Allocator::give_back(std::vector<Frame*>& frames) {
  for (Frame* frame : frames) device_.frames->give_back(frame);
  frames.clear();
}

Status Allocator::map(Region& region) {
  const auto handles = handles_of(region.frames);
  Status status = device_.mapper->map(region.view.base, handles, region.chunk_size);
  if (status.ok()) return status;
  give_back(region.frames);
  static constinit Seldom seldom;
  seldom.warn("an allocation of {} bytes could not be mapped: {}", region.view.size.value,
              status.message());
  // Frameworks know how to go on from this answer only.
  return {Errc::out_of_memory, status.message()};
}

void Allocator::give_pages(const Region& region) {
  for (std::size_t i = 0; i < region.frames.size(); ++i) {
    const ChunkId first = device_.page_of(region.address_of(i));
    for (std::uint32_t page = 0; page < device_.pages_per_chunk(); ++page) {
      const PageState state = state_on(*region.frames[i]);
      if (!device_.pages.give_to({first.value + page}, region.index, state)) {
        device_.freeze("a new region's page was not free");
      }
    }
  }
}

void Allocator::publish(Region& region) {
  count_in(region);
  device_.regions.publish(&region);
  count_regions();
}

void Allocator::count_in(Region& region) {
  Bytes host_mapped;
  for (const Frame* frame : region.frames) {
    if (frame != nullptr && frame->tier == Tier::host) host_mapped += region.chunk_size;
  }
  device_.stats.add(Stat::resident_bytes, region.mapped_size().value);
  device_.account(region, host_mapped);
}

void Allocator::count_out(Region& region) {
  // account() moves all of it to the resident side, from where it is taken off.
  device_.account(region, {});
  device_.stats.add(Stat::resident_bytes, Bytes{0}.value - region.mapped_size().value);
}

void Allocator::count_regions() {
  device_.stats.set(Stat::regions, device_.regions.count());
  device_.stats.set(Stat::region_bytes, device_.regions.live_bytes().value);
  device_.stats.set(Stat::idle_bytes, device_.idle.mapped_bytes().value);
  pool_use_.used = device_.regions.live_bytes(RegionKind::stream_ordered);
  pool_use_.reserved = pool_use_.used + device_.idle.mapped_bytes();
  pool_use_.used_high = std::max(pool_use_.used_high, pool_use_.used);
  pool_use_.reserved_high = std::max(pool_use_.reserved_high, pool_use_.reserved);
}

Status Allocator::free(DeviceAddress base) {
  Region* region = nullptr;
  {
    // The pager starts nothing on it any more, so that what it has started is waited for below.
    std::lock_guard lock(device_.lock);
    region = device_.regions.withdraw(base);
    count_regions();
  }
  if (region == nullptr) return {Errc::invalid_value, "not the base of a live region"};
  const Drain::State waited = device_.drain.wait();
  std::lock_guard lock(device_.lock);
  if (waited == Drain::State::quiet) {
    take_apart(*region);
  } else {
    device_.graveyard.push_back(region);
  }
  return waited == Drain::State::failed
             ? Status::driver(device_.drain.failure(), "waiting for the GPU")
             : Status();
}

void Allocator::free_all(CUcontext context) {
  std::lock_guard lock(device_.lock);
  const auto regions = device_.regions.withdraw_all(context);
  // Copies ahead run in another context, whose work nobody has waited for.
  device_.precopy.finish(*device_.frames);
  for (Region* region : regions) take_apart(*region);
  std::erase_if(device_.graveyard, [&](Region* region) {
    if (region->view.context != context) return false;
    take_apart(*region);
    return true;
  });
  device_.idle.context_destroyed(context);
  count_regions();
}

void Allocator::empty_graveyard() {
  for (Region* region : device_.graveyard) take_apart(*region);
  device_.graveyard.clear();
}

void Allocator::retry_refused() {
  std::erase_if(device_.refused, [&](Region* region) {
    const Bytes size = region->mapped_size();
    if (!try_to_take_apart(*region)) return false;
    device_.stats.add(Stat::refused_bytes, Bytes{0}.value - size.value);
    return true;
  });
}

void Allocator::drop_copies(Region& region) {
  device_.precopy.forget(region);
  for (std::size_t i = 0; i < region.copies.size(); ++i) {
    if (const CleanCopy copy = device_.take_copy(region, i); copy.frame != nullptr) {
      device_.frames->give_back(copy.frame);
    }
  }
}

void Allocator::take_apart(Region& region) {
  drop_copies(region);
  if (try_to_take_apart(region)) return;
  // Its frames and addresses stay taken: what may still be mapped is not safe to use again.
  static constinit Seldom seldom;
  seldom.warn("a freed region of {} bytes could not be unmapped, which is tried again",
              region.mapped_size().value);
  device_.refused.push_back(&region);
  device_.stats.add(Stat::refused_bytes, region.mapped_size().value);
}

std::vector<Frame*> Allocator::retract(Region& region) {
  drop_copies(region);
  count_out(region);
  const Bytes size = region.mapped_size();
  const std::size_t pages = size.value / base_page.value;
  for (std::uint32_t page = 0; page < pages; ++page) {
    const ChunkId id{device_.page_of(region.view.base).value + page};
    if (!device_.pages.move(id, device_.pages.state(id), PageState::free)) {
      device_.freeze("a freed region's page was on the move");
    }
  }
  std::vector<Frame*> frames = std::move(region.frames);
  if (region.whole != 0) {
    device_.stats.add(Stat::gathered_bytes, Bytes{0}.value - size.value);
    frames.clear();
  }
  device_.thrash_guard.forget(region.index, size);
  device_.regions.erase(&region);
  count_regions();
  return frames;
}

bool Allocator::try_to_take_apart(Region& region) {
  const DeviceAddress base = region.view.base;
  const Bytes size = region.mapped_size();
  if (!device_.mapper->unmap(base, size).ok()) return false;
  const CUmemGenericAllocationHandle whole = region.whole;
  std::vector<Frame*> frames = retract(region);
  give_back(frames);
  if (whole != 0) {
    device_.leftovers.put_away({{}, size, whole}, *device_.mapper, *device_.frames, device_.space);
  }
  device_.space.give_back(base, size);
  return true;
}

}  // namespace vhbm
