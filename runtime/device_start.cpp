// How a device begins: who it is, its window, its frames, its statistics. Whatever is missing makes
// start() refuse, so that the process runs unvirtualised.
#include <algorithm>
#include <thread>

#include "runtime/context_scope.h"
#include "runtime/device.h"
#include "runtime/host_memory.h"
#include "runtime/host_promises.h"
#include "runtime/kv_heat.h"
#include "runtime/log.h"
#include "runtime/memory_report.h"
#include "runtime/share_socket.h"

namespace vhbm {

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
  while (!probe.ok() && frames->others_may_yield() && std::chrono::steady_clock::now() < deadline) {
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
