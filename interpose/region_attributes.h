// What cuPointerGetAttribute says of a region: what it would say of cuMemAlloc's memory, or of what
// the application mapped itself, wherever the region's pages are at that moment. Locking: none.
#pragma once

#include <cuda.h>

#include "runtime/region_view.h"

namespace vhbm::interpose {

// CUDA_SUCCESS, or what the driver answers for device memory that has no such attribute.
[[nodiscard]] CUresult region_attribute(const RegionView& region, CUdeviceptr address,
                                        CUpointer_attribute attribute, void* out);
// Puts an application's own reservation into an answer of the driver's that told of the window.
void range_attribute(const AddressRange& range, CUpointer_attribute attribute, void* out);

}  // namespace vhbm::interpose
