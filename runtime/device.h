// Everything that allocation, free and flips share about one device. Built bottom up by
// Device::start. Invariant: frames, mappings, page states and regions' frames change only under
// `lock`. Locking: `lock` is taken before any lock of a member; never while waiting for the
// application.
#pragma once

#include <cuda.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "runtime/address_space.h"
#include "runtime/claims.h"
#include "runtime/copier.h"
#include "runtime/drain.h"
#include "runtime/driver.h"
#include "runtime/frames.h"
#include "runtime/histogram.h"
#include "runtime/idle_regions.h"
#include "runtime/leftovers.h"
#include "runtime/mapper.h"
#include "runtime/mappings.h"
#include "runtime/memories.h"
#include "runtime/memory_report.h"
#include "runtime/option_table.h"
#include "runtime/options.h"
#include "runtime/page_kernels.h"
#include "runtime/page_table.h"
#include "runtime/pool_watch.h"
#include "runtime/precopy.h"
#include "runtime/process.h"
#include "runtime/recording/device_recording.h"
#include "runtime/region_table.h"
#include "runtime/regions.h"
#include "runtime/reservations.h"
#include "runtime/stats.h"
#include "runtime/status.h"
#include "runtime/steps.h"
#include "runtime/thrash_guard.h"
#include "runtime/use_log.h"

namespace vhbm {

class KvHeat;

struct Device {
  // On the current context's device.
  //   Errc::unsupported  no virtual memory management, or no host frames
  [[nodiscard]] static Result<std::unique_ptr<Device>> start(const Driver& driver,
                                                             const Options& options,
                                                             Process& process);
  ~Device();

  // Gives a live option another value; what the application is told of memory stays as it was.
  void set(const OptionRow& row, const Options& changed);

  // Where the GPU is shared: so much of hbm_limit may be held for now.
  void grant_hbm(Bytes grant) noexcept;
  // What may be held at most, whatever is granted: the option hbm_limit.
  [[nodiscard]] Bytes hbm_ceiling() const noexcept { return {ceiling_.load()}; }
  // HBM that is kept for promotions at that most.
  [[nodiscard]] Bytes most_spare() const noexcept;
  // What nobody on this GPU holds; nullopt where the driver does not say. Under `lock`, since
  // contexts go under it.
  [[nodiscard]] std::optional<Bytes> free_hbm() const noexcept;
  // False where the driver does not tell.
  [[nodiscard]] bool identify_gpu(GpuUuid* uuid) const noexcept;

  // Nothing moves any more: mappings stay as they are and keep their answers.
  void freeze(const char* why, FreezeCause cause = FreezeCause::invariant) noexcept;
  [[nodiscard]] bool frozen() const noexcept { return stats.frozen() != FreezeCause::none; }
  // A driver call failed that says what the GPU does. Once costs what was under way; so many in a
  // row, and the GPU is lost, which freezes.
  void gpu_failed(const char* why) noexcept;
  void gpu_answered() noexcept { gpu_failures_ = 0; }
  // Frozen, and what the runtime knows of the device may be wrong.
  [[nodiscard]] bool broken() const noexcept { return stats.frozen() == FreezeCause::invariant; }

  [[nodiscard]] ChunkId page_of(DeviceAddress address) const noexcept {
    return {static_cast<std::uint32_t>((address - space.begin()).value / base_page.value)};
  }
  [[nodiscard]] std::uint32_t pages_per_chunk() const noexcept {
    return static_cast<std::uint32_t>(frames->frame_size().value / base_page.value);
  }
  // All pages of a chunk. Freezes on a move that the protocol does not know.
  [[nodiscard]] bool move(DeviceAddress chunk, PageState from, PageState to) noexcept;
  // Chunks that the kernels hash at once: of a flip in both directions.
  [[nodiscard]] std::size_t most_at_once() const;
  // Makes the copier's streams and loads the pager's kernels, in a context that is known. Harmless
  // when they are there. False when nothing can be copied.
  [[nodiscard]] bool prepare_copies();
  // A chunk's copy in the other tier: kept while there is room, dropped with its region or when its
  // frame is needed.
  void keep_copy(Region& region, std::size_t chunk, CleanCopy copy) noexcept;
  [[nodiscard]] CleanCopy take_copy(Region& region, std::size_t chunk) noexcept;
  // Of host-mapped chunks: what was copied to HBM and did not come after all.
  void drop_arrivals() noexcept;
  // Learns from the uses that were added meanwhile. Under `lock`.
  void learn_uses();
  // Waits until hbm_limit holds with the native memory that was counted, since the pager makes room
  // for it. False when it does not in time, or nothing can move.
  [[nodiscard]] bool make_room(std::chrono::nanoseconds patience);
  // Nothing of the pager's own is in flight that reads or writes regions.
  [[nodiscard]] bool settled() const { return !precopy.in_flight() && quarantine.empty(); }
  // Frames of nobody's, as soon as no copy of the pager's own can still read them.
  void give_back(std::vector<Frame*>& unused) noexcept;
  // Brings the statistics and the heat of a region in line with where its chunks are.
  void account(Region& region, Bytes host_mapped) noexcept;

  const Driver& driver;
  Options options;  // those that are live change under `lock`: see set()
  Stats stats;
  RegionTable region_table;
  Histogram stalls;  // of the gate, in nanoseconds
  CUdevice ordinal = 0;
  Bytes total;                 // of the device
  Capacity told;               // what the application was told of memory, and is for good
  bool exports_files = false;  // memory of it can be given to other processes
  std::unique_ptr<Mapper> mapper;
  std::unique_ptr<Frames> frames;
  AddressSpace space;  // the window that regions are carved from
  PageTable pages;
  Regions regions;
  // What the application makes of virtual memory itself.
  Reservations reservations;
  std::unique_ptr<Memories> memories;
  Mappings mappings;
  Process& process;
  const bool is_first;  // of the process's: tells what is counted for all of them
  Drain& drain;         // the process's
  Copier copier;        // behind the gate
  PageKernels kernels;
  Precopy precopy;
  std::atomic<Epoch> now{1};
  std::atomic<Epoch> slept_at{0};  // when the process last fell asleep
  // It woke then, and what left with the sleep is still coming back.
  std::atomic<bool> returning{false};
  std::atomic<std::uint64_t> resident_before_sleep{0};  // bytes that then are all back
  std::atomic<std::chrono::steady_clock::time_point> woken_at{};
  std::mutex lock;
  // Destinations of copies that were given up but may still be landing.
  std::vector<Frame*> quarantine;
  PoolWatch pool_watch;  // memory of the driver's own
  UseLog uses;
  Steps steps;                        // as far as the uses were read: see learn_uses()
  std::uint64_t uses_in_a_round = 0;  // of the pager, lately
  ThrashGuard thrash_guard;
  DeviceRecording recording{*this};
  std::unique_ptr<KvHeat> kv;  // where KV layouts are given and looks can be had
  IdleRegions idle;            // freed in the order of a stream
  // Withdrawn while a stream was being captured: their frames come back after a complete drain.
  std::vector<Region*> graveyard;
  // Withdrawn, but the driver refused to unmap them: what may still be mapped is not used again.
  std::vector<Region*> refused;
  // Native memory of ours that is not in use any more.
  Leftovers leftovers;
  // Chunks that are to be mapped to where their bytes are, before anything else is done to them.
  std::vector<ChunkId> repairs;
  // So many threads wait to gather a region: nothing is copied ahead meanwhile.
  std::atomic<int> gatherings{0};

 private:
  Device(const Driver& driver, const Options& options, Process& process);
  [[nodiscard]] Status identify();
  [[nodiscard]] static Frames::Limits limits_of(const Options& chosen, Capacity capacity,
                                                Bytes chunk);
  void freeze_under_mps() noexcept;
  void look_at_block_tables() noexcept;
  [[nodiscard]] Status reserve_window();
  [[nodiscard]] Status make_frames();
  void share_stats();
  // The frame of that tier whose copy is missed least, or nullptr.
  [[nodiscard]] Frame* reclaim_copy(Tier tier);

  // The first of the contexts that are on this device, or nullptr.
  [[nodiscard]] CUcontext context_here() const;
  std::atomic<std::uint64_t> ceiling_{0};
  Reservation aliases_{};
  int gpu_failures_ = 0;  // in a row
};

}  // namespace vhbm
