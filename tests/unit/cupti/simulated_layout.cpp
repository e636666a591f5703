#include <cstddef>

#include "layout.h"
#include "simgpu/cupti.h"

CuptiLayout simulated_layout() {
  CuptiLayout all CUPTI_LAYOUT(CUpti_ActivityKernel10);
  all.merge(CuptiLayout CUPTI_NUMBERS);
  all["size"] = sizeof(CUpti_ActivityKernel10);
  return all;
}
