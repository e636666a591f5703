// The protections that keep the application's bytes whole while pages move, by name, so that the
// stress test can prove that it would notice the loss of any: it builds further libraries with
// -DVHBM_WITHOUT=<name>, each lacking one. The product lacks none, and since keeps() is a constant,
// nothing of this is left in it. Included by .cpp files only: those are what a variant compiles
// anew.
#pragma once

namespace vhbm {

enum class Protection {
  gate,            // submitters wait while it is closed
  other_contexts,  // a drain waits for every context, not only for the first
  validation,      // what was copied ahead of a flip is compared before it counts
};

#ifdef VHBM_WITHOUT
#define VHBM_PROTECTION_NAME(name) VHBM_PROTECTION_TEXT(name)
#define VHBM_PROTECTION_TEXT(name) #name
// Says in the library itself what it lacks.
[[gnu::used]] static const char protection_removed[] =
    "vhbm-protection-removed: " VHBM_PROTECTION_NAME(VHBM_WITHOUT);
#undef VHBM_PROTECTION_TEXT
#undef VHBM_PROTECTION_NAME
constexpr bool keeps(Protection protection) {
  return protection != Protection::VHBM_WITHOUT;
}
#else
constexpr bool keeps(Protection) {
  return true;
}
#endif

}  // namespace vhbm
