// A trace of a small program, as a recorder would have written it.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "replay/recorded.h"
#include "runtime/recording/trace_writer.h"

namespace vhbm::replay {

namespace records = recording;

inline recording::TraceHeader small_header() {
  recording::TraceHeader made;
  made.pid = 4711;
  made.command = "server </script> \"x\"";
  made.gpu = "NVIDIA H200";
  made.total = gib(1);
  made.chunk_size = mib(2);
  made.hbm_limit = mib(20);
  made.host_limit = gib(1);
  made.options = {{"policy", "lru"}, {"stall_limit", "20%"}, {"of_a_later_version", "7"}};
  return made;
}

// Two regions of weights, one of which is half in HBM; a workspace that comes and goes; a flip in
// which chunks change places; a closure, a verdict, a sleep, a kernel.
inline std::vector<recording::Record> small_records() {
  using recording::packed_use;
  using std::chrono::milliseconds;
  const std::uint64_t two_mib = mib(2).value;
  return {
      {milliseconds(0),
       records::region{1, 1, 0, 4 * two_mib, two_mib, 1, 90, 0, 0, "filled", {0, 4}}},
      {milliseconds(0), records::region{2, 2, 8, 4 * two_mib, two_mib, 0, 0, 0, 0, "none", {2, 2}}},
      {milliseconds(0), records::limits{mib(20).value, gib(1).value, two_mib, 0, 0, 0}},
      {milliseconds(5),
       records::uses{2, 0, {packed_use(1, 1), packed_use(1, 2), packed_use(9, 1)}}},
      {milliseconds(6), records::region_changed{2, 1, 80, 0, 0, "read only"}},
      {milliseconds(7),
       records::region{3, 3, 16, two_mib, two_mib, 3, 50, 0, 0, "short-lived", {0, 1}}},
      {milliseconds(10), records::flip{0,
                                       0,
                                       1,
                                       8'000'000,
                                       10'000,
                                       20'000,
                                       5'000,
                                       400'000,
                                       300'000,
                                       2'000,
                                       800'000,
                                       two_mib,
                                       0,
                                       two_mib,
                                       {8, 9},
                                       {0}}},
      {milliseconds(15),
       records::uses{4, 0, {packed_use(1, 2), packed_use(1, 3), packed_use(1, 99)}}},
      {milliseconds(16), records::region_gone{3}},
      {milliseconds(17), records::closure{16'500'000, 1000, 90'000}},
      {milliseconds(18), records::waits{3, 700'000}},
      {milliseconds(20), records::guard{1, 1, two_mib}},
      {milliseconds(25), records::guard{0, 1, two_mib}},
      {milliseconds(26), records::sleep{2}},
      {milliseconds(28), records::sleep{0}},
      {milliseconds(29), records::kernel{"gemm<\"float\">", 7, 1'000'000, 3'000'000}},
      {milliseconds(30), records::uses{6, 1, {packed_use(1, 1)}}},
      {milliseconds(30),
       records::limits{mib(20).value, gib(1).value, two_mib, 0, 40'000'000'000, 20'000'000'000}},
      {milliseconds(31), records::end{"it was told to end"}},
  };
}

class SmallTrace {
 public:
  explicit SmallTrace(const std::vector<recording::Record>& all = small_records()) {
    recording::TraceWriter writer;
    std::string bytes;
    for (const recording::Record& record : all) recording::append(record, bytes);
    if (writer.open(path, small_header(), true).ok()) (void)writer.write(bytes, gib(1));
  }
  ~SmallTrace() { std::filesystem::remove(path); }
  SmallTrace(const SmallTrace&) = delete;
  SmallTrace& operator=(const SmallTrace&) = delete;

  const std::string path = std::filesystem::temp_directory_path() /
                           ("vhbm-replay." + std::to_string(getpid()) + ".trace");
};

}  // namespace vhbm::replay
