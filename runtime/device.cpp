// Start-up of a device: who it is, its window, its frames, its statistics. Whatever is missing
// makes start() refuse, so that the process runs unvirtualised.
#include "runtime/device.h"

#include <algorithm>
#include <thread>

#include "runtime/context_scope.h"
#include "runtime/host_memory.h"
#include "runtime/host_promises.h"
#include "runtime/kv_heat.h"
#include "runtime/log.h"
#include "runtime/memory_report.h"
#include "runtime/pacing.h"
#include "runtime/share_socket.h"

namespace vhbm {
namespace {

// In a row, after which nothing good is expected of the GPU.
constexpr int most_gpu_failures = 3;

}  // namespace

Result<std::unique_ptr<Device>> Device::start(const Driver& driver, const Options& options,
                                              Process& process) {
  std::unique_ptr<Device> device(new Device(driver, options, process));
  RelaxedCapture relaxed(driver);
  if (Status status = device->identify(); !status.ok()) return status;
  // Frames first: their own addresses have a fixed size, while the window makes do with what is
  // left.
  if (Status status = device->make_frames(); !status.ok()) return status;
  if (Status status = device->reserve_window(); !status.ok()) return status;
  device->pool_watch.start(device->ordinal);
  device->share_stats();
  (void)device->prepare_copies();
  device->freeze_under_mps();
  device->look_at_block_tables();
  return device;
}

Device::Device(const Driver& driver, const Options& options, Process& process)
    : driver(driver),
      options(options),
      process(process),
      is_first(!process.has_devices.exchange(true)),
      drain(process.drain),
      copier(driver, Copier::most_lanes),
      kernels(driver),
      precopy(driver, stats),
      pool_watch(driver),
      idle(driver),
      leftovers(driver) {}

Device::~Device() {
  // Without frames it never got so far that there could be copies.
  if (frames != nullptr) precopy.finish(*frames);
  if (!quarantine.empty() && copier.poll() == CUDA_SUCCESS) {
    for (Frame* frame : quarantine) frames->give_back(frame);
  }
  for (Region* region : regions.live()) {
    for (std::size_t i = 0; i < region->copies.size(); ++i) {
      if (const CleanCopy copy = take_copy(*region, i); copy.frame != nullptr) {
        frames->give_back(copy.frame);
      }
    }
  }
  if (frames != nullptr) leftovers.retry(*mapper, *frames, space);
  frames.reset();
  // A region that is still alive keeps its mapping, and the window with it.
  if (regions.count() != 0 || !reservations.empty() || !graveyard.empty() || !refused.empty() ||
      !leftovers.empty() || !idle.empty()) {
    process.window.keep();
  } else if (aliases_.size.value != 0) {
    driver.cuMemAddressFree(aliases_.begin.value, aliases_.size.value);
  }
}

void Device::freeze(const char* why, FreezeCause cause) noexcept {
  if (!stats.freeze(cause)) return;
  try {
    const LogLevel level = cause == FreezeCause::invariant ? LogLevel::error : LogLevel::warn;
    log_as(level, "{}: nothing moves between HBM and host any more; the process goes on as it is",
           why);
  } catch (...) {
  }
}

void Device::gpu_failed(const char* why) noexcept {
  stats.add(Stat::driver_errors, 1);
  if (++gpu_failures_ >= most_gpu_failures) freeze(why);
}

bool Device::move(DeviceAddress chunk, PageState from, PageState to) noexcept {
  const ChunkId first = page_of(chunk);
  for (std::uint32_t page = 0; page < pages_per_chunk(); ++page) {
    if (pages.move({first.value + page}, from, to)) continue;
    freeze("a chunk was not in the state that its move starts from");
    return false;
  }
  return true;
}

void Device::keep_copy(Region& region, std::size_t chunk, CleanCopy copy) noexcept {
  region.copies[chunk] = copy;
  frames->copy_kept(copy.frame->tier);
  stats.set(Stat::clean_copy_bytes, (frames->frame_size() * frames->copies(Tier::host)).value);
}

CleanCopy Device::take_copy(Region& region, std::size_t chunk) noexcept {
  CleanCopy taken;
  std::swap(taken, region.copies[chunk]);
  if (taken.frame == nullptr) return taken;
  frames->copy_dropped(taken.frame->tier);
  stats.set(Stat::clean_copy_bytes, (frames->frame_size() * frames->copies(Tier::host)).value);
  return taken;
}

void Device::drop_arrivals() noexcept {
  while (frames->copies(Tier::hbm) != 0) {
    Frame* frame = reclaim_copy(Tier::hbm);
    if (frame == nullptr) return;
    frames->give_back(frame);
  }
}

Frame* Device::reclaim_copy(Tier tier) {
  Region* poorest = nullptr;
  std::size_t index = 0;
  // What was used last stays longest in HBM, so its copy is needed last.
  std::uint64_t latest = 0;
  for (Region* region : regions.live()) {
    const std::uint64_t used = regions.last_use(region->index);
    if (poorest != nullptr && used <= latest) continue;
    const auto has_copy = [tier](const CleanCopy& copy) {
      return copy.frame != nullptr && copy.frame->tier == tier;
    };
    const auto found = std::find_if(region->copies.begin(), region->copies.end(), has_copy);
    if (found == region->copies.end()) continue;
    poorest = region;
    index = static_cast<std::size_t>(found - region->copies.begin());
    latest = used;
  }
  return poorest == nullptr ? nullptr : take_copy(*poorest, index).frame;
}

void Device::learn_uses() {
  const std::uint64_t before = steps.seen();
  const bool recorded = recording.is_on();
  const bool whole = uses.read([&](Use use) {
    steps.used(use);
    if (recorded) recording.used(use);
  });
  if (!whole) {
    steps.interrupted();
    recording.uses_lost();
  }
  uses_in_a_round = std::max(steps.seen() - before, uses_in_a_round / 2);
  stats.set(Stat::uses_seen, steps.seen());
  stats.set(Stat::uses_foreseen, steps.foreseen());
}

bool Device::make_room(std::chrono::nanoseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (frames->over_limit()) {
    {
      std::lock_guard guard(lock);
      frames->trim();
      if (!frames->over_limit()) return true;
      const bool possible = frames->native() <= hbm_ceiling() || !leftovers.empty();
      if (!possible || frozen() || drain.capturing()) return false;
    }
    // Pooled frames were not enough: the pager has to evict.
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

void Device::give_back(std::vector<Frame*>& unused) noexcept {
  for (Frame* frame : unused) {
    if (!quarantine.empty() || !leftovers.empty()) {
      quarantine.push_back(frame);
    } else {
      precopy.give_back(frame, *frames);
    }
  }
  unused.clear();
}

void Device::account(Region& region, Bytes host_mapped) noexcept {
  const Bytes before = regions.host_mapped(region.index);
  regions.set_host_mapped(region.index, host_mapped);
  // Unsigned arithmetic: a decrease wraps around to the right sum.
  stats.add(Stat::host_mapped_bytes, host_mapped.value - before.value);
  stats.add(Stat::resident_bytes, before.value - host_mapped.value);
}

Status Device::identify() {
  CUcontext context = nullptr;
  CUresult result = driver.cuCtxGetCurrent(&context);
  if (result == CUDA_SUCCESS && context == nullptr) result = CUDA_ERROR_INVALID_CONTEXT;
  if (result != CUDA_SUCCESS) return Status::driver(result, "cuCtxGetCurrent");
  if (result = driver.cuCtxGetDevice(&ordinal); result != CUDA_SUCCESS) {
    return Status::driver(result, "cuCtxGetDevice");
  }
  int virtual_memory = 0;
  result = driver.cuDeviceGetAttribute(
      &virtual_memory, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, ordinal);
  if (result != CUDA_SUCCESS || virtual_memory == 0) {
    return {Errc::unsupported, "this device has no virtual memory management"};
  }
  std::size_t bytes = 0;
  if (result = driver.cuDeviceTotalMem_v2(&bytes, ordinal); result != CUDA_SUCCESS) {
    return Status::driver(result, "cuDeviceTotalMem");
  }
  total = {bytes};
  int files = 0;
  exports_files = driver.cuMemExportToShareableHandle != nullptr &&
                  driver.cuDeviceGetAttribute(
                      &files, CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED,
                      ordinal) == CUDA_SUCCESS &&
                  files != 0;
  drain.context_created(context);
  mapper = std::make_unique<Mapper>(driver, stats, ordinal);
  memories = std::make_unique<Memories>(ordinal);
  return {};
}

// An address that is unmapped for a moment and touched by mistake costs a process its context;
// under MPS it costs all of the server's clients theirs. Drivers that do not know the attribute
// have no way to tell.
void Device::freeze_under_mps() noexcept {
  int shared = 0;
  if (options.flip_under_mps ||
      driver.cuDeviceGetAttribute(&shared, CU_DEVICE_ATTRIBUTE_MPS_ENABLED, ordinal) !=
          CUDA_SUCCESS ||
      shared == 0) {
    return;
  }
  freeze("this GPU is shared through MPS (flip_under_mps moves pages all the same)",
         FreezeCause::mps);
}

Status Device::reserve_window() {
  const auto part = process.window.part_of(ordinal, total, options);
  if (!part.ok()) return part.status();
  space = AddressSpace(part->begin, part->size);
  if (Status status = pages.reserve(part->size); !status.ok()) return status;
  if (Status status = regions.reserve(); !status.ok()) return status;
  return uses.reserve();
}

Frames::Limits Device::limits_of(const Options& chosen, Capacity capacity, Bytes chunk) {
  Frames::Limits limits{capacity.hbm, capacity.host, {}};
  if (limits.host >= chunk) limits.hbm_spare = spare_of(chosen, limits.hbm, chunk);
  return limits;
}

void Device::set(const OptionRow& row, const Options& changed) {
  const std::lock_guard guard(lock);
  (void)row.read(row.write(changed), options);
  recording.option_set(row.name, row.write(options));
  const Bytes held{stats.get(Stat::hbm_bytes)};
  const Bytes free_now = free_hbm().value_or(Bytes{});
  const Bytes locked{stats.get(Stat::host_bytes)};
  Capacity capacity =
      capacity_of(options, total, free_now + held, available_host_memory() + locked);
  const std::string_view name(row.name);
  const Frames::Limits before = frames->limits();
  // The other limit stays what it was made of when the process started.
  if (name == "hbm_limit") {
    capacity.host = before.host;
    ceiling_.store(capacity.hbm.value);
  } else if (name == "host_limit") {
    capacity.hbm = before.hbm;
    process.host.set_limit(capacity.host);
  } else {
    return;
  }
  frames->set_limits(limits_of(options, capacity, frames->frame_size()));
}

void Device::grant_hbm(Bytes grant) noexcept {
  const Frames::Limits limits = limits_of(
      options, {std::min(grant, hbm_ceiling()), frames->limits().host}, frames->frame_size());
  frames->set_hbm_limit(limits.hbm, limits.hbm_spare);
}

Bytes Device::most_spare() const noexcept {
  return limits_of(options, {hbm_ceiling(), frames->limits().host}, frames->frame_size()).hbm_spare;
}

std::optional<Bytes> Device::free_hbm() const noexcept {
  CUcontext context = copier.context();
  if (context == nullptr) context = context_here();
  const ContextScope scope(driver, context);
  std::size_t free = 0, all = 0;
  if (context == nullptr || scope.result() != CUDA_SUCCESS ||
      driver.cuMemGetInfo_v2(&free, &all) != CUDA_SUCCESS) {
    return std::nullopt;
  }
  return Bytes{free};
}

bool Device::identify_gpu(GpuUuid* uuid) const noexcept {
  CUuuid told{};
  if (driver.cuDeviceGetUuid_v2 == nullptr ||
      driver.cuDeviceGetUuid_v2(&told, ordinal) != CUDA_SUCCESS) {
    return false;
  }
  std::copy(std::begin(told.bytes), std::end(told.bytes), uuid->begin());
  return true;
}

Status Device::make_frames() {
  std::size_t free_now = 0, total_now = 0;
  if (CUresult result = driver.cuMemGetInfo_v2(&free_now, &total_now); result != CUDA_SUCCESS) {
    return Status::driver(result, "cuMemGetInfo");
  }
  const Bytes chunk = options.chunk_size.resolve({}, base_page);
  // The process's first device settles a host_limit that is not given in bytes.
  const bool settles =
      is_first && (options.host_limit.is_automatic() || options.host_limit.is_share());
  const HostPromises promised =
      settles ? promised_to_others(state_directory(options.state_dir)) : HostPromises{};
  told = capacity_of(options, total, {free_now}, available_host_memory(promised));
  told.host = process.host.limit_to(told.host);
  const Frames::Limits limits = limits_of(options, told, chunk);
  ceiling_.store(limits.hbm.value);

  int node = -1;
  if (driver.cuDeviceGetAttribute(&node, CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID, ordinal) !=
          CUDA_SUCCESS ||
      node < 0) {
    node = 0;
  }
  // Room for limits that are raised later, where addresses are to be had.
  const Bytes needed = (limits.hbm + limits.host).rounded_up_to(chunk) + chunk;
  const Bytes wished = (total + std::max(limits.host, total * 4)).rounded_up_to(chunk) + chunk;
  auto aliases = reserve_addresses(driver, std::max(needed, wished), chunk, chunk);
  if (!aliases.ok()) aliases = reserve_addresses(driver, needed, chunk, chunk);
  if (!aliases.ok()) return aliases.status();
  aliases_ = *aliases;
  frames = std::make_unique<Frames>(driver, *mapper, stats, process.host, ordinal, node, chunk,
                                    limits, AddressSpace(aliases_.begin, aliases_.size));
  frames->on_shortage([this](Tier tier) { return reclaim_copy(tier); });
  frames->on_others_need([this] {
    std::unique_lock mine(lock, std::try_to_lock);
    return mine.owns_lock() && frames->yield_host();
  });
  if (limits.host < chunk) {
    log_info("host_limit is below one chunk: nothing can leave HBM");
    return {};
  }
  // What the driver says it can do is not reliable: only a frame that could be made and mapped
  // counts.
  auto probe = frames->take(Tier::host);
  const auto deadline = std::chrono::steady_clock::now() + handover_patience;
  while (!probe.ok() && frames->others_may_yield() &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    probe = frames->take(Tier::host);
  }
  if (!probe.ok()) {
    frames->want_host(0);
    return {Errc::unsupported,
            "no host memory can be mapped to this GPU: " + probe.status().message() +
                "; in a container, allow SYS_NICE and check its memory limit"};
  }
  const Status mapped = frames->ensure_alias(*probe);
  frames->give_back(*probe);
  if (!mapped.ok()) {
    return {Errc::unsupported, "this GPU cannot reach host memory: " + mapped.message()};
  }
  return {};
}

CUcontext Device::context_here() const {
  for (CUcontext context : drain.contexts()) {
    ContextScope scope(driver, context);
    CUdevice device = 0;
    if (scope.result() != CUDA_SUCCESS || driver.cuCtxGetDevice(&device) != CUDA_SUCCESS) continue;
    if (device == ordinal) return context;
  }
  return nullptr;
}

std::size_t Device::most_at_once() const {
  if (kernels.usable()) return kernels.most();
  const std::uint64_t flip = options.flip_size.resolve(frames->limits().hbm, mib(64)).value;
  // In both directions at once.
  return 2 * std::max<std::size_t>(flip / frames->frame_size().value, 1);
}

bool Device::prepare_copies() {
  if (copier.context() == nullptr) {
    const CUcontext context = context_here();
    if (context == nullptr || copier.prepare(context) != CUDA_SUCCESS) return false;
  }
  if (kernels.usable() || kernels.given_up()) return true;
  if (Status status = kernels.prepare(copier.context(), copier.stream(), most_at_once());
      !status.ok()) {
    log_info("evictions are copied behind the gate: {}", status.message());
  }
  return true;
}

void Device::look_at_block_tables() noexcept {
  if (process.kv_layouts == nullptr || frozen()) return;
  try {
    kv = std::make_unique<KvHeat>(*this);
    const Status status = kv->start();
    if (status.ok()) return;
    log_warn("block tables are not looked at, so a KV cache counts as used whole: {}",
             status.message());
  } catch (...) {
  }
  kv.reset();
}

void Device::share_stats() {
  const std::string directory = state_directory(options.state_dir);
  std::string why_not;
  if (!stats.share(directory, ordinal, &why_not)) {
    log_warn("statistics are not shared: {}", why_not);
  } else if (!region_table.share(directory, ordinal, &why_not)) {
    log_warn("the table of regions is not shared: {}", why_not);
  }
  remove_dead_sockets(directory);
}

}  // namespace vhbm
