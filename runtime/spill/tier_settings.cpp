#include "runtime/spill/tier_settings.h"

#include <new>

#include "runtime/spill/disk.h"
#include "runtime/spill/remote.h"
#include "runtime/spill/tiered_store.h"

namespace vhbm {
namespace {

// No option, so that no listing of options shows it.
constexpr const char* password_variable = "VHBM_REMOTE_PASSWORD";

RemoteSettings remote_settings(const Options& options, const Options::Lookup& lookup) {
  const char* password = lookup(password_variable);
  return {.address = options.remote_url,
          .password_file = options.remote_password_file,
          .password = password == nullptr ? "" : password,
          .timeout = options.remote_timeout,
          .time_to_live = options.remote_ttl};
}

}  // namespace

Result<std::unique_ptr<BlockStore>> open_block_store(const Options& options,
                                                     const Options::Lookup& lookup) {
  try {
    std::vector<std::unique_ptr<Medium>> media;
    if (!options.disk_path.empty()) {
      auto disk = Disk::open(options.disk_path, options.disk_limit);
      if (!disk.ok()) return disk.status();
      media.push_back(std::move(*disk));
    }
    if (!options.remote_url.is_none())
      media.push_back(std::make_unique<Remote>(remote_settings(options, lookup)));
    std::unique_ptr<BlockStore> store;
    if (!media.empty())
      store = std::make_unique<TieredStore>(std::move(media), options.compression);
    return store;
  } catch (const std::bad_alloc&) {
    return Status(Errc::out_of_memory, "no memory for tiers below host memory");
  }
}

}  // namespace vhbm
