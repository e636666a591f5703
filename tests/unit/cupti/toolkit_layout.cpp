// The record that this toolkit's CUPTI fills. Its newest has the highest number.
#include <cstddef>

#include "layout.h"

#if __has_include(<cupti.h>)
#include <cupti.h>

CuptiLayout toolkit_layout() {
#if CUPTI_API_VERSION >= 130000
  CuptiLayout all CUPTI_LAYOUT(CUpti_ActivityKernel10);
  all["size"] = sizeof(CUpti_ActivityKernel10);
#else
  CuptiLayout all CUPTI_LAYOUT(CUpti_ActivityKernel9);
#endif
  all.merge(CuptiLayout CUPTI_NUMBERS);
  return all;
}
#else
CuptiLayout toolkit_layout() {
  return {};
}
#endif
