// How a run went. One list of rows says what is reported; text and JSON both expand it.
#pragma once

#include <chrono>
#include <iosfwd>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gpu.h"
#include "options.h"
#include "scheduler.h"
#include "trace.h"

namespace sample_server {

struct Footprint {
  std::size_t weights = 0;  // bytes of GPU memory, all held from start to end
  std::size_t kv = 0;
  std::size_t workspace = 0;
  std::size_t total() const { return weights + kv + workspace; }
};

struct RunResult {
  std::string gpu;
  GpuMemory memory_at_start;
  Footprint footprint;
  std::size_t kv_blocks = 0;
  std::size_t graphs = 0;

  std::size_t requests = 0;  // done
  std::size_t refused = 0;   // longer than the KV cache can hold
  std::size_t output_tokens = 0;
  SchedulerCounts scheduler;
  std::vector<double> ttft;  // seconds, of each request
  std::vector<double> tpot;  // seconds, of each request with more than one token
  std::chrono::duration<double> elapsed{0};
  std::string digest;  // over every logit and token put out
};

class Report {
 public:
  Report(const Options& options, const RunResult& result);

  void print(std::ostream& out) const;
  nlohmann::ordered_json json() const;

 private:
  struct Row {
    std::string key;    // in JSON
    std::string label;  // in text
    std::string text;
    nlohmann::ordered_json value;
  };
  std::vector<Row> rows_;
};

// The value below which `share` of the values lie, by nearest rank; 0 of none.
double percentile(std::vector<double> values, double share);

}  // namespace sample_server
