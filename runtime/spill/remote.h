// A Valkey or Redis server that is there already, as a medium: a key a piece, under a prefix that
// no other process has. Keys have a time to live, which is renewed while this process lives and
// keeps them: nothing stays behind for longer, however it ends. Locking: its own.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "runtime/spill/medium.h"
#include "runtime/spill/remote_keys.h"
#include "runtime/worker.h"

namespace vhbm {

class Remote : public Medium {
 public:
  // Connects to nothing yet.
  explicit Remote(RemoteSettings settings);
  Remote(const Remote&) = delete;
  Remote& operator=(const Remote&) = delete;

  [[nodiscard]] const char* name() const override { return keys_->name().c_str(); }
  [[nodiscard]] unsigned channels() const override;
  [[nodiscard]] Result<std::unique_ptr<Channel>> open_channel() override;
  [[nodiscard]] Result<Extent> reserve(Bytes size) override;
  void release(std::span<const Extent> places) noexcept override;
  // The server has every one of them now, and is not one that makes room by forgetting.
  [[nodiscard]] Status settle(std::span<const Extent> places) override;

  [[nodiscard]] const std::string& prefix() const { return keys_->prefix(); }

 private:
  // Shared with the thread that renews, which is left behind where a server holds it up.
  const std::shared_ptr<RemoteKeys> keys_;
  std::mutex mutex_;
  Worker renewing_;
  bool renews_ = false;
};

}  // namespace vhbm
