// The tiers that the options ask for.
#pragma once

#include <memory>

#include "runtime/options.h"
#include "runtime/spill/block_store.h"

namespace vhbm {

// The store over what the options name: disk_path, then remote_url; nullptr where they name
// neither. The disk is tried now; the remote store when there is something for it.
//   Errc::invalid_value  disk_path takes no file: go on without tiers, and say so
[[nodiscard]] Result<std::unique_ptr<BlockStore>> open_block_store(const Options& options,
                                                                   const Options::Lookup& lookup);

}  // namespace vhbm
