// What a run came to: the statistics of every process that ran under vHBM, and how the program
// ended.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "runtime/stats_reader.h"

namespace vhbm::cli {

class Summary {
 public:
  Summary(std::vector<std::string> command, std::string state_directory);

  // Takes note of the processes under `root`; called now and then while it runs.
  void look(pid_t root);
  // After `root` ended with `status`, as waitpid gives it.
  void finish(pid_t root, int status);

  // False, with the reason, when the file cannot be written.
  [[nodiscard]] bool write(const std::string& file, std::string* why_not) const;
  // A few lines for a person.
  [[nodiscard]] std::string to_text() const;

 private:
  // Over all processes and devices: counters and gauges added up, the largest of peaks.
  [[nodiscard]] StatsSnapshot total() const;

  const std::vector<std::string> command_;
  const std::string state_directory_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  void take(StatsSnapshot snapshot) {
    devices_[{snapshot.pid, snapshot.device}] = std::move(snapshot);
  }

  std::map<std::pair<pid_t, int>, StatsSnapshot> devices_;  // of every process
  int status_ = 0;
  double seconds_ = 0;
};

}  // namespace vhbm::cli
