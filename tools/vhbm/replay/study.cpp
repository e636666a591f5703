#include "replay/study.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "runtime/option_table.h"

namespace vhbm::replay {
namespace {

std::chrono::nanoseconds taking(Bytes bytes, double rate) {
  return std::chrono::nanoseconds(
      static_cast<std::int64_t>(static_cast<double>(bytes.value) / rate * 1e9));
}

// One policy at one size.
struct Task {
  std::size_t size, policy;
};

// As many at a time as there are processors.
void play_all(std::size_t count, const std::function<void(std::size_t)>& play,
              const Progress& progress) {
  std::atomic<std::size_t> next{0};
  std::size_t done = 0;
  std::mutex mutex;
  const auto work = [&] {
    for (std::size_t mine = next++; mine < count; mine = next++) {
      play(mine);
      const std::lock_guard lock(mutex);
      ++done;
      if (progress) progress(done, count);
    }
  };
  std::vector<std::thread> others;
  const std::size_t most = std::max(std::thread::hardware_concurrency(), 1u);
  for (std::size_t i = 1; i < std::min(most, count); ++i) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
}

}  // namespace

Options options_of(const recording::TraceHeader& header) {
  Options made;
  for (const auto& [name, value] : header.options) {
    const std::size_t which = find_option(name);
    if (which != option_count) (void)option_rows()[which].read(value, made);
  }
  return made;
}

Study study(const Recorded& recorded, const Choices& choices, const Progress& progress) {
  const Workload& workload = recorded.workload;
  Study made;
  made.peak = workload.peak();
  made.hbm_time = taking(recorded.happened.used, choices.rates.hbm);
  const bool by_size = !choices.limits.empty();
  std::vector<Bytes> limits = choices.limits;
  if (!by_size) limits.push_back(workload.first.hbm_limit);
  std::vector<Task> tasks;
  for (const Bytes limit : limits) {
    SizeResult size;
    size.limit = limit;
    size.own = limit == workload.first.hbm_limit;
    size.room =
        room_in({limit, workload.first.host_limit, workload.first.native}, workload.chunk_size);
    if (size.own && !choices.options_changed) {
      size.recorded_policy = recorded.header.option("policy");
    }
    for (std::size_t policy = 0; policy < choices.policies.size(); ++policy) {
      tasks.push_back({made.sizes.size(), policy});
      size.policies.push_back({choices.policies[policy], {}});
    }
    made.sizes.push_back(std::move(size));
  }
  // Per size the bounds first, then the policies.
  const std::size_t bounds = made.sizes.size();
  play_all(
      bounds + tasks.size(),
      [&](std::size_t number) {
        if (number < bounds) {
          SizeResult& size = made.sizes[number];
          size.least = belady(workload, size.room);
          size.on_demand = lru_on_demand(workload, size.room);
          size.best = std::max(made.hbm_time, taking(size.least.over_link, choices.rates.to_hbm));
          return;
        }
        const Task task = tasks[number - bounds];
        SizeResult& size = made.sizes[task.size];
        Conditions conditions;
        conditions.policy = choices.policies[task.policy];
        conditions.bounds = {size.limit, workload.first.host_limit, workload.first.native};
        conditions.options = choices.options;
        conditions.rates = choices.rates;
        conditions.as_recorded = size.own && !by_size;
        size.policies[task.policy].played = play(workload, conditions);
      },
      progress);
  return made;
}

}  // namespace vhbm::replay
