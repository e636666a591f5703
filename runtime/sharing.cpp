// What of the runtime makes regions known outside the process, and others' known here.
#include <new>

#include "runtime/context_scope.h"
#include "runtime/devices.h"
#include "runtime/runtime.h"

namespace vhbm {
namespace {

// What the driver offers in place of the attribute, which it refuses for mapped memory.
void synchronize_copies(const Driver& driver, CUcontext context) {
#if CUDA_VERSION >= 12010
  if (driver.cuCtxGetFlags == nullptr || driver.cuCtxSetFlags == nullptr) return;
  ContextScope scope(driver, context);
  unsigned flags = 0;
  if (scope.result() == CUDA_SUCCESS && driver.cuCtxGetFlags(&flags) == CUDA_SUCCESS) {
    (void)driver.cuCtxSetFlags(flags | CU_CTX_SYNC_MEMOPS);
  }
#endif
}

}  // namespace

Status Runtime::gather(DeviceAddress inside) {
  PagedDevice* const device = owns(inside) ? devices_->at(inside.value) : nullptr;
  if (device == nullptr) return {Errc::invalid_value, "no live region is there"};
  return gather(inside, Gathering::shareable(*device->device));
}

Status Runtime::gather(DeviceAddress inside, const CUmemAllocationProp& properties) {
  PagedDevice* const device = owns(inside) ? devices_->at(inside.value) : nullptr;
  if (device == nullptr) return {Errc::invalid_value, "no live region is there"};
  try {
    return device->gathering.gather(inside, properties);
  } catch (const std::bad_alloc&) {
    return {Errc::out_of_memory, "no memory to gather a region with"};
  }
}

Result<SharedHandle> Runtime::share(DeviceAddress inside) {
  const auto before = find(inside);
  if (!before || before->kind != RegionKind::plain) {
    return Status(Errc::invalid_value, "only what cuMemAlloc gave out is shared by such handles");
  }
  try {
    if (Status status = gather(inside); !status.ok()) return status;
    const auto region = find(inside);
    if (!region) return Status(Errc::invalid_value, "the region was freed meanwhile");
    return devices_->exports.share(*region);
  } catch (const std::bad_alloc&) {
    return Status(Errc::out_of_memory, "no memory to share a region with");
  }
}

Result<DeviceAddress> Runtime::open_shared(const SharedHandle& handle) {
  PagedDevice* const device = devices_->here();
  if (device == nullptr) return Status(Errc::invalid_value, "this device's memory is not paged");
  const Driver& driver = devices_->driver;
  CUcontext context = nullptr;
  if (const CUresult result = driver.cuCtxGetCurrent(&context); result != CUDA_SUCCESS) {
    return Status::driver(result, "cuCtxGetCurrent");
  }
  if (context == nullptr || devices_->exports.made(handle)) {
    return Status::driver(CUDA_ERROR_INVALID_CONTEXT, "cuIpcOpenMemHandle");
  }
  try {
    return device->imports.open(handle, context);
  } catch (const std::bad_alloc&) {
    return Status(Errc::out_of_memory, "no memory to open a region with");
  }
}

Status Runtime::close_shared(DeviceAddress base) {
  Status status(Errc::invalid_value, "nothing is open there");
  devices_->each([&](PagedDevice& one) {
    if (one.imports.maps(base)) status = one.imports.close(base);
  });
  return status;
}

std::optional<RegionView> Runtime::find_shared(DeviceAddress address) const {
  std::optional<RegionView> found;
  devices_->each([&](const PagedDevice& one) {
    if (!found) found = one.imports.find(address);
  });
  return found;
}

bool Runtime::maps_shared(DeviceAddress address) const {
  bool maps = false;
  devices_->each([&](const PagedDevice& one) { maps = maps || one.imports.maps(address); });
  return maps;
}

Status Runtime::set_synchronous(DeviceAddress inside, bool synchronous) {
  const auto region = find(inside);
  if (!region) return {Errc::invalid_value, "no live region is there"};
  if (region->kind == RegionKind::mapped) return {Errc::unsupported, "of mapped memory"};
  if (synchronous) {
    if (Status status = gather(inside); !status.ok()) return status;
    synchronize_copies(devices_->driver, region->context);
  }
  devices_->at(inside.value)->device->regions.set_synchronous(inside, synchronous);
  return {};
}

}  // namespace vhbm
