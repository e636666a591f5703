// What the command line asks for. The defaults are a server of about 200 MiB, a third of it
// weights.
#pragma once

#include <cstdint>
#include <string>

#include "choices.h"

namespace sample_server {

struct Options {
  Api api = Api::driver;
  GraphMode graphs = GraphMode::none;

  std::string trace;  // none: requests are made up
  std::size_t requests = 500;
  std::uint64_t scale_tokens = 32;
  double replay_speed = 0;  // 0: as fast as the server takes them
  std::size_t max_running = 16;
  std::size_t step_tokens = 512;
  std::uint64_t seed = 1;

  ModelShape model;
  KvLayout kv_layout = KvLayout::per_layer;
  std::size_t block_tokens = 16;
  bool contiguous = false;
  std::size_t kv_tokens = 65'536;
  double gpu_memory_utilization = 0;  // 0: kv_tokens says how much

  std::string kv_log;  // a file to write each step's KV blocks to
  std::string json;    // a file to write the report to as well
};

struct ParsedOptions {
  Options options;
  int exit_code = 0;  // unless `run`
  bool run = false;
};

// Says on the terminal what is wrong, or what --help asks for.
ParsedOptions parse_options(int argc, char** argv);

}  // namespace sample_server
