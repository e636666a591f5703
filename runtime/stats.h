// The statistics of this process: one table of relaxed atomics in a file that others may map, so
// that watching costs the server nothing. Where no file can be made they live in private memory.
// Invariant: the file is locked as long as its process lives, so a reader tells the living from the
// dead without trusting a process id. Locking: none; any thread adds.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

namespace vhbm {

enum class StatKind { counter, gauge, peak };
enum class StatUnit { bytes, count, nanoseconds, flag };

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

// What the shared file holds. `layout` differs whenever the table does.
struct StatsFile {
  static constexpr std::uint64_t magic_value = 0x737461'6d626876;  // "vhbmats"
  std::uint64_t magic;
  std::uint64_t layout;
  std::int64_t pid;
  std::int64_t started_at;  // seconds since 1970
  char command[104];
  alignas(64) std::array<std::atomic<std::uint64_t>, stat_count> values;
};

// A hash over the rows' names, in order.
[[nodiscard]] constexpr std::uint64_t stats_layout() {
  std::uint64_t hash = 0xcbf29ce484222325;
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

  // Shares the table as <directory>/<pid>.stats, carrying over what was counted. Before the threads
  // that count are started. On failure says why and stays private.
  [[nodiscard]] bool share(const std::string& directory, std::string* why_not);
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

 private:
  std::atomic<std::uint64_t>& cell(Stat stat) noexcept {
    return file_->values[static_cast<std::size_t>(stat)];
  }

  StatsFile* file_;
  int descriptor_ = -1;
  std::string path_;
};

// Counts from many threads at once: each thread adds to one of a few cache lines.
class ShardedCounter {
 public:
  void add_one() noexcept {
    shards_[shard_of_this_thread()].count.fetch_add(1, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t sum() const noexcept {
    std::uint64_t total = 0;
    for (const Shard& shard : shards_) total += shard.count.load(std::memory_order_relaxed);
    return total;
  }

 private:
  static constexpr std::uint32_t shard_count = 16;
  struct alignas(64) Shard {
    std::atomic<std::uint64_t> count{0};
  };
  static std::uint32_t shard_of_this_thread() noexcept {
    [[gnu::tls_model("initial-exec")]] static thread_local constinit std::uint32_t mine = 0;
    if (mine == 0) mine = 1 + next_shard_.fetch_add(1, std::memory_order_relaxed) % shard_count;
    return mine - 1;
  }
  static inline constinit std::atomic<std::uint32_t> next_shard_{0};
  std::array<Shard, shard_count> shards_;
};

// The directory that processes of this user share: `configured`, or /dev/shm/vhbm-<uid>.
[[nodiscard]] std::string state_directory(const std::string& configured);
// Makes it when it is missing, mode 0700. False, with the reason, when it is not ours alone.
[[nodiscard]] bool prepare_state_directory(const std::string& directory, std::string* why_not);

}  // namespace vhbm
