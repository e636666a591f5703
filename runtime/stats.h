// The statistics of this process: one table of relaxed atomics in a file that others may map, so
// that watching costs the server nothing. Where no file can be made they live in private memory.
// The file also carries the one word by which an operator steers: see Control. Locking: none; any
// thread adds.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "runtime/shared_file.h"

namespace vhbm {

enum class StatKind { counter, gauge, peak };
enum class StatUnit { bytes, bytes_per_second, count, nanoseconds, flag };

enum class Stat : std::size_t {
#define STAT(kind, name, unit, text) name,
#include "runtime/stats.def"
#undef STAT
};

struct StatRow {
  const char* name;
  StatKind kind;
  StatUnit unit;
  const char* text;
};

inline constexpr StatRow stat_rows[] = {
#define STAT(kind, name, unit, text) {#name, StatKind::kind, StatUnit::unit, text},
#include "runtime/stats.def"
#undef STAT
};
inline constexpr std::size_t stat_count = std::size(stat_rows);

// Why nothing moves any more, the graver last.
enum class FreezeCause : std::uint32_t { none, mps, request, invariant };

// What `vhbm off` writes and the pager reads in each of its rounds; the answer is Control::frozen.
struct Control {
  std::atomic<std::uint32_t> freeze_requested;  // 1: nothing shall move any more
  std::atomic<FreezeCause> frozen;
};

// What the shared file holds.
struct StatsFile {
  static constexpr std::uint64_t magic_value = 0x737461'6d626876;  // "vhbmats"
  SharedHeader header;
  Control control;
  alignas(64) std::array<std::atomic<std::uint64_t>, stat_count> values;
};
inline constexpr const char* stats_suffix = ".stats";

// A hash over the rows' names, in order, and where they are.
[[nodiscard]] constexpr std::uint64_t stats_layout() {
  std::uint64_t hash =
      0xcbf29ce484222325 ^ offsetof(StatsFile, values) ^ offsetof(SharedHeader, command) << 32;
  for (const StatRow& row : stat_rows) {
    for (const char* c = row.name;; ++c) {
      hash = (hash ^ static_cast<unsigned char>(*c)) * 0x100000001b3;
      if (*c == '\0') break;
    }
  }
  return hash;
}

class Stats {
 public:
  // Private memory only.
  Stats();
  ~Stats();
  Stats(const Stats&) = delete;
  Stats& operator=(const Stats&) = delete;

  // Shares the table, of one device, as <directory>/<pid>.stats, carrying over what was counted.
  // Before the threads that count are started. On failure says why and stays private.
  [[nodiscard]] bool share(const std::string& directory, int device, std::string* why_not);
  // In a forked child: counts into memory of its own from now on.
  void unshare_in_child() noexcept;

  void add(Stat stat, std::uint64_t n) noexcept {
    cell(stat).fetch_add(n, std::memory_order_relaxed);
  }
  void set(Stat stat, std::uint64_t n) noexcept { cell(stat).store(n, std::memory_order_relaxed); }
  void raise(Stat stat, std::uint64_t n) noexcept {
    std::uint64_t old = get(stat);
    while (old < n && !cell(stat).compare_exchange_weak(old, n, std::memory_order_relaxed)) {
    }
  }
  [[nodiscard]] std::uint64_t get(Stat stat) const noexcept {
    return file_->values[static_cast<std::size_t>(stat)].load(std::memory_order_relaxed);
  }

  // An operator wants nothing to move any more; the pager sees to it in its next round.
  void request_freeze() noexcept {
    file_->control.freeze_requested.store(1, std::memory_order_relaxed);
  }
  [[nodiscard]] bool freeze_requested() const noexcept {
    return file_->control.freeze_requested.load(std::memory_order_relaxed) != 0;
  }
  [[nodiscard]] FreezeCause frozen() const noexcept {
    return file_->control.frozen.load(std::memory_order_relaxed);
  }
  // False when it was frozen for that, or for something graver, before.
  bool freeze(FreezeCause cause) noexcept {
    FreezeCause before = frozen();
    do {
      if (before >= cause) return false;
    } while (!file_->control.frozen.compare_exchange_weak(before, cause));
    set(Stat::frozen, 1);
    return true;
  }

 private:
  std::atomic<std::uint64_t>& cell(Stat stat) noexcept {
    return file_->values[static_cast<std::size_t>(stat)];
  }

  StatsFile* file_;
  SharedFile shared_;
};

}  // namespace vhbm
