// Maps frames into reserved addresses, in runs: one map call a frame, one access call a run, one
// unmap call a run, since access and unmap cost more than a map does. Invariant: after a failure
// the range is as it was before, unless the answer says `broken`. Locking: the pager's lock.
#pragma once

#include <cuda.h>

#include <span>
#include <vector>

#include "runtime/driver.h"
#include "runtime/stats.h"
#include "runtime/status.h"
#include "runtime/units.h"

namespace vhbm {

class Mapper {
 public:
  using Handles = std::span<const CUmemGenericAllocationHandle>;

  // Every device of `devices` gets read and write access to whatever is mapped.
  Mapper(const Driver& driver, Stats& stats, std::span<const CUdevice> devices);

  // What a range is mapped to: one after the other, all of one size.
  struct Backing {
    Handles handles;
    Bytes each;

    [[nodiscard]] Bytes size() const { return each * handles.size(); }
  };

  // Maps frames of `size` each, one after the other, over a range that is mapped to nothing.
  [[nodiscard]] Status map(DeviceAddress base, Handles handles, Bytes size) const;
  // `size` covers whole mappings.
  [[nodiscard]] Status unmap(DeviceAddress base, Bytes size) const;

  enum class Switched {
    yes,       // `to` is mapped
    restored,  // a driver call failed; `from` is mapped, its bytes untouched
    broken,    // neither could be mapped: an access there is fatal
  };
  // Replaces what a run is mapped to, by as many bytes. No GPU work that could touch the run may be
  // in flight.
  [[nodiscard]] Switched replace(DeviceAddress base, Backing from, Backing to) const;

 private:
  [[nodiscard]] Status failed(CUresult result, const char* call) const;

  const Driver& driver_;
  Stats& stats_;
  std::vector<CUmemAccessDesc> access_;
};

}  // namespace vhbm
