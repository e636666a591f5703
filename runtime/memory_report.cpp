#include "runtime/memory_report.h"

#include <algorithm>

namespace vhbm {
namespace {

Bytes native_reserve(Bytes total) {
  const Bytes share{total.value / 20};
  return std::min(std::max(share, mib(512)), Bytes{total.value / 2});
}

}  // namespace

Bytes shared_hbm(Bytes total) {
  return saturating_minus(total, native_reserve(total));
}

Capacity capacity_of(const Options& options, Bytes total, Bytes free, Bytes host) {
  // Of a shared GPU, others give what they hold now.
  const Bytes hbm_default =
      options.share_gpu ? shared_hbm(total) : std::min(shared_hbm(total), free);
  return {std::min(options.hbm_limit.resolve(total, hbm_default), total),
          options.host_limit.resolve(host, {host.value / 2})};
}

bool tells_other_total(const Options& options) {
  return !options.hbm_limit.is_automatic() || options.report == Report::virtual_memory;
}

MemoryInfo memory_told(const Options& options, Bytes device_total, Capacity capacity, Bytes live) {
  Bytes total = options.hbm_limit.is_automatic() ? device_total : capacity.hbm;
  Bytes usable = capacity.hbm;
  if (options.report == Report::virtual_memory) {
    total += capacity.host;
    usable += capacity.host;
  }
  return {saturating_minus(usable, live), total, live};
}

}  // namespace vhbm
