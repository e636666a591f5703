// The keys that this process has in a remote store: what they are called, which are kept, and what
// is done with many at once. Their time to live is renewed while they are kept. Invariant: a key is
// never used for other bytes. Locking: its own, which is not held while the server is asked.
#pragma once

#include <cstdint>
#include <mutex>
#include <set>
#include <span>
#include <string>

#include "runtime/spill/extents.h"
#include "runtime/spill/redis_connection.h"

namespace vhbm {

class RemoteKeys {
 public:
  explicit RemoteKeys(RemoteSettings settings);

  [[nodiscard]] const RemoteSettings& settings() const { return settings_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  // What all keys of this process begin with; no other process has it.
  [[nodiscard]] const std::string& prefix() const { return prefix_; }
  [[nodiscard]] std::string key_of(const Extent& place) const;

  // A key that was never there.
  [[nodiscard]] Extent next(Bytes size);
  // From here on it is renewed.
  void keep(const Extent& place);
  // From here on they are not, and the server is asked to forget them.
  void drop(std::span<const Extent> places);
  // How many of them the server has.
  [[nodiscard]] Result<std::uint64_t> count(std::span<const Extent> places) const;
  // Gives all that are kept their whole time to live; tells what is wrong.
  void renew();

 private:
  // Sends `command` with each key and `last`, many a round trip; the sum of what is answered.
  [[nodiscard]] Result<std::uint64_t> ask_for_each(std::string_view command,
                                                   std::span<const Extent> places,
                                                   std::string_view last = "") const;

  const RemoteSettings settings_;
  const std::string name_, prefix_;

  std::mutex mutex_;
  std::uint64_t next_ = 0, drops_ = 0;
  std::set<std::uint64_t> kept_;
  bool lost_some_ = false;
};

}  // namespace vhbm
