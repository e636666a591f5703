#include "runtime/spill/checksum.h"

// As headers only: nothing to link, and no name that the host could have as well.
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace vhbm {

Checksum checksum_of(std::span<const std::byte> bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.low64, hash.high64};
}

}  // namespace vhbm
