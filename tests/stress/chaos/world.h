// What the processes of the chaos share: the simulated GPU, a disk that fills, a store that dies,
// the state directory. Locking: counts and what is over are atomic; the first harm is kept under a
// mutex.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>

#include "tests/unit/spill/redis_server.h"

namespace chaos {

using Clock = std::chrono::steady_clock;

enum class Count {
#define COUNT(name, text) name,
#include "counts.def"
};
inline constexpr const char* count_texts[] = {
#define COUNT(name, text) text,
#include "counts.def"
};

struct Choices {
  unsigned processes = 20;
  double seconds = 60;
  std::uint64_t seed = std::random_device{}();
  double patience = 5;          // seconds without a sign of life that are a hang
  std::string on_hang;          // a shell command that gets the process's id
  std::size_t memory = 48;      // MiB that each process keeps
  std::string worker, library;  // paths
};

class World {
 public:
  // Makes all of it in a new folder, which becomes the current one. Before any thread starts.
  explicit World(const Choices& choices);
  // Removes the folder, unless harm was done.
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // Kills and restarts the store, fills and empties the disk, until the time is over or harm was
  // done.
  void trouble();
  // Throws stress::Harm when anything is left of the processes, which are all gone.
  void check_nothing_left(const std::string& of_the_last_one);

  void count(Count what, std::uint64_t times = 1) {
    counts_[static_cast<std::size_t>(what)] += times;
  }
  void print_summary() const;
  void report_harm(const std::string& what);
  [[nodiscard]] bool harmed() const { return harmed_; }
  [[nodiscard]] bool is_over() const { return harmed_ || Clock::now() >= end_; }

  [[nodiscard]] std::filesystem::path folder() const { return folder_; }
  [[nodiscard]] std::string state() const { return folder_ / "state"; }
  [[nodiscard]] std::string store_url() const;
  // Differs as soon as the store may have lost what it had.
  [[nodiscard]] unsigned store_generation() const { return store_generation_; }

  const Choices choices;
  static constexpr std::chrono::seconds time_to_live{4};  // of keys in the store

 private:
  void restart_store();
  void fill_disk();
  void rest(unsigned most_ms);

  std::filesystem::path folder_;
  std::set<std::string> shared_memory_;  // what was in /dev/shm before
  bool small_disk_ = false;              // a file system of its own
  std::unique_ptr<vhbm::RedisServer> store_;
  std::atomic<unsigned> store_generation_{0};
  std::array<std::atomic<std::uint64_t>, std::size(count_texts)> counts_{};
  std::atomic<bool> harmed_{false};
  std::mutex mutex_;
  Clock::time_point end_;
  std::mt19937_64 random_;
};

}  // namespace chaos
