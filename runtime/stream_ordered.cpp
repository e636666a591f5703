// What the allocator does in the order of a stream: frees that wait for nothing, and regions that
// are kept as they are for the next allocation that they fit.
#include "runtime/allocator.h"
#include "runtime/context_scope.h"

namespace vhbm {

Result<DeviceAddress> Allocator::allocate_in_order(Bytes size, const StreamOrder& order,
                                                   CUmemoryPool pool) {
  return allocate({size, nullptr, RegionKind::stream_ordered, pool, order.id});
}

Region* Allocator::reuse(const Request& request, Bytes mapped) {
  Region* const region = device_.idle.take(mapped, request.stream);
  if (region == nullptr) return nullptr;
  describe(*region, request, region->view.base);
  device_.regions.renew(region);
  device_.stats.add(Stat::reused_regions, 1);
  return region;
}

void Allocator::reset_pool_marks(bool used, bool reserved) {
  if (used) pool_use_.used_high = pool_use_.used;
  if (reserved) pool_use_.reserved_high = pool_use_.reserved;
}

Status Allocator::free_in_order(DeviceAddress base, const StreamOrder& order, Gate& gate) {
  CUevent event = nullptr;
  bool shared = false;
  {
    std::lock_guard lock(device_.lock);
    const Region* const region = device_.regions.region_at(base);
    if (region == nullptr || region->view.base != base) {
      return {Errc::invalid_value, "not the base of a live region"};
    }
    shared = region->whole != 0;
    if (!shared) event = device_.idle.spare_event(order.context);
  }
  // Others may hold on to what is behind it, so nobody is to have it again.
  if (shared) return free(base);
  const auto give_event_back = [&] {
    std::lock_guard lock(device_.lock);
    device_.idle.recycle(order.context, event);
  };
  {
    RelaxedCapture relaxed(device_.driver);
    ContextScope scope(device_.driver, order.context);
    if (scope.result() != CUDA_SUCCESS) return Status::driver(scope.result(), "cuCtxPushCurrent");
    if (event == nullptr &&
        device_.driver.cuEventCreate(&event, CU_EVENT_DISABLE_TIMING) != CUDA_SUCCESS) {
      return free(base);  // waits, which is later than asked, and never earlier
    }
    const auto pass = gate.pass();
    if (const CUresult recorded = device_.driver.cuEventRecord(event, order.stream);
        recorded != CUDA_SUCCESS) {
      give_event_back();
      return Status::driver(recorded, "cuEventRecord");
    }
  }
  std::unique_lock lock(device_.lock);
  Region* const region = device_.regions.withdraw(base);
  if (region == nullptr) {  // another thread was faster
    lock.unlock();
    give_event_back();
    return {Errc::invalid_value, "not the base of a live region"};
  }
  lay_aside(*region);
  device_.idle.add(region, order, event);
  count_regions();
  return {};
}

void Allocator::lay_aside(Region& region) {
  drop_copies(region);
  count_out(region);
}

void Allocator::give_up_idle(IdleRegions::Clock::time_point before, Bytes keep) {
  // Work of the pager's own may still read a region that no work of the application reaches.
  if (!device_.settled()) return;
  while (device_.idle.mapped_bytes() > keep) {
    Region* const region = device_.idle.take_idle_since(before);
    if (region == nullptr) break;
    count_in(*region);
    take_apart(*region);
  }
  count_regions();
}

}  // namespace vhbm
