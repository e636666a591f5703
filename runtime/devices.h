// The devices of one process whose memory is paged, by number, with what they share: found by an
// address, or by the current context. Invariant: a device stays once it is there. Locking: finding
// takes none and is hot; `starting` for adding one.
#pragma once

#include <unistd.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>

#include "runtime/exports.h"
#include "runtime/gpu_share.h"
#include "runtime/orders.h"
#include "runtime/paged_device.h"
#include "runtime/process.h"
#include "runtime/sleep.h"
#include "runtime/spilling.h"

namespace vhbm {

class Devices {
 public:
  static constexpr std::size_t most = 64;

  Devices(const Driver& real_driver, const Options& chosen, Decisions what_to_decide)
      : driver(real_driver),
        options(chosen),
        decisions(what_to_decide),
        process(real_driver),
        exports(
            state_directory(chosen.state_dir),
            [this](RegionId id, DeviceAddress base) { return grant(id, base); },
            [this](RegionId id, DeviceAddress base) { return lives(id, base); }) {}

  [[nodiscard]] bool lives(RegionId id, DeviceAddress base) const {
    const auto region = at(base.value)->device->regions.find(base);
    return region && region->id == id;
  }
  [[nodiscard]] Result<Exports::Granted> grant(RegionId id, DeviceAddress base) const {
    const PagedDevice& one = *at(base.value);
    const auto region = one.device->regions.find(base);
    if (!region) return Status(Errc::invalid_value, "the region was freed");
    const auto file = one.gathering.file_of(id, base);
    if (!file.ok()) return file.status();
    return Exports::Granted{*file, region->size,
                            region->size.rounded_up_to(one.device->frames->frame_size())};
  }

  [[nodiscard]] PagedDevice* on(CUdevice device) const noexcept {
    const auto which = static_cast<std::size_t>(device);
    return which < devices.size() ? devices[which].load(std::memory_order_acquire) : nullptr;
  }
  // Hot. nullptr where no region can be. Requires an address in the window.
  [[nodiscard]] PagedDevice* at(std::uint64_t address) const noexcept {
    return on(static_cast<CUdevice>(process.window.device_of(address)));
  }
  [[nodiscard]] CUdevice current() const noexcept {
    CUdevice device = 0;
    // A second time where the first one failed: memory would go past the pager.
    for (int attempt = 0; attempt < 2; ++attempt) {
      if (driver.cuCtxGetDevice(&device) == CUDA_SUCCESS) return device;
    }
    return -1;
  }
  // The current context's, or nullptr.
  [[nodiscard]] PagedDevice* here() const noexcept { return on(current()); }
  template <typename Work>
  void each(Work&& work) const {
    for (std::uint32_t i = 0; i < process.window.parts(); ++i) {
      if (PagedDevice* const one = on(static_cast<CUdevice>(i)); one != nullptr) work(*one);
    }
  }

  // What sleeps goes on to the tiers below; before the first sleep.
  void spill_to(std::unique_ptr<BlockStore> store) {
    spilling = std::make_unique<Spilling>(std::move(store), options.spill_after);
    sleep.set_below(
        {[this] {
           each([&](PagedDevice& one) {
             if (process.gate.waiting() != 0) return;
             const std::chrono::nanoseconds slept(one.device->stats.get(Stat::asleep_ns));
             spilling->send_down(*one.device, slept);
           });
         },
         [this] {
           bool all = true;
           each([&](PagedDevice& one) { all = spilling->bring_back(*one.device) && all; });
           return all;
         }});
  }

  // Of the devices that are there, and of those that come; before the first sleep.
  void share_gpus() {
    share = std::make_unique<GpuShare>(options, process, sleep, decisions.share_out);
    sleep.set_others({[this] { return share->permits(); },
                      [this](PagedDevice& one) { return share->wait_for_room(one); }});
    each([&](PagedDevice& one) { share->join(one); });
  }

  void publish_application_host() const {
    each([&](PagedDevice& one) {
      if (!one.device->is_first) return;
      one.device->stats.set(Stat::application_host_bytes, process.host.application().value);
    });
  }

  const Driver& driver;
  const Options options;
  const Decisions decisions;
  Process process;
  std::mutex starting;
  std::array<std::atomic<PagedDevice*>, most> devices{};  // by ordinal; owned
  Exports exports;
  const pid_t owner = getpid();
  std::unique_ptr<Spilling> spilling;  // where there are tiers below
  Sleep sleep{*this};
  std::unique_ptr<GpuShare> share;  // where GPUs are shared
  Orders orders{*this};
};

}  // namespace vhbm
