// Maps frames into reserved addresses, in runs: one map call a frame, one access call a run, one
// unmap call a run, since access and unmap cost more than a map does. Invariant: after a failure
// the range is as it was before, unless the answer says `broken`. Locking: the pager's lock.
#pragma once

#include <cuda.h>

#include <optional>
#include <span>
#include <vector>

#include "runtime/driver.h"
#include "runtime/stats.h"
#include "runtime/status.h"
#include "runtime/units.h"

namespace vhbm {

// What devices may do; those that are not in the list may do nothing.
using AccessList = std::vector<CUmemAccessDesc>;
[[nodiscard]] CUmemAccess_flags allowed_to(CUdevice device, const AccessList& list);

class Mapper {
 public:
  using Handles = std::span<const CUmemGenericAllocationHandle>;

  // `device` gets read and write access to whatever is mapped.
  Mapper(const Driver& driver, Stats& stats, CUdevice device);

  // From now on these get it too, in the place of those that were set before. What is mapped
  // already stays as it is: see allow().
  void set_peers(std::span<const CUdevice> peers);
  [[nodiscard]] std::span<const CUdevice> peers() const { return peers_; }
  // What one device may do in a range that is mapped, all of it.
  [[nodiscard]] Status allow(DeviceAddress base, Bytes size, CUdevice device,
                             CUmemAccess_flags flags) const;

  // What a range is mapped to: one after the other, all of one size.
  struct Backing {
    Handles handles;
    Bytes each;

    [[nodiscard]] Bytes size() const { return each * handles.size(); }
  };

  // Maps frames of `size` each, one after the other, over a range that is mapped to nothing, with
  // the access that is said, else with the mapper's own.
  [[nodiscard]] Status map(DeviceAddress base, Handles handles, Bytes size,
                           const std::optional<AccessList>& access = {}) const;
  // `size` covers whole mappings.
  [[nodiscard]] Status unmap(DeviceAddress base, Bytes size) const;

  enum class Switched {
    yes,       // `to` is mapped
    restored,  // a driver call failed; `from` is mapped, its bytes untouched
    broken,    // neither could be mapped: an access there is fatal
  };
  // Replaces what a run is mapped to, by as many bytes. No GPU work that could touch the run may be
  // in flight.
  [[nodiscard]] Switched replace(DeviceAddress base, Backing from, Backing to,
                                 const std::optional<AccessList>& access = {}) const {
    return replace(base, from, access, to, access);
  }
  // The same where what is mapped afterwards allows something else.
  [[nodiscard]] Switched replace(DeviceAddress base, Backing from,
                                 const std::optional<AccessList>& access_before, Backing to,
                                 const std::optional<AccessList>& access) const;

 private:
  [[nodiscard]] Status failed(CUresult result, const char* call) const;

  const Driver& driver_;
  Stats& stats_;
  std::vector<CUdevice> peers_;
  AccessList access_;  // the device's own first, then its peers'
};

}  // namespace vhbm
