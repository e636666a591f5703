// What the command line asks `vhbm plan` for, and the way from there to a workload: models read,
// the GPU looked up or asked, values matched to models.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "planner.h"

namespace vhbm::plan {

// Values that are given once count for every model, else there is one for each.
struct Request {
  std::vector<std::string> models;
  std::string family;
  // A model by its figures, where no file is at hand.
  std::uint64_t layers = 0, kv_heads = 0, head_size = 0, query_heads = 0;
  std::uint64_t latent_size = 0;                // MLA: what a layer keeps of a token, for all heads
  std::uint64_t window = 0, window_layers = 0;  // so many of the layers keep so many tokens only
  std::uint64_t state_layers = 0;  // so many of the layers keep a state of `state` only
  std::string state;
  std::vector<std::string> parameters;
  std::vector<std::string> active_parameters;
  std::vector<std::string> weights;

  std::vector<std::uint64_t> context;
  std::vector<std::uint64_t> sessions;
  std::vector<std::uint64_t> active;
  unsigned kv_bits = 16;
  std::uint64_t block_tokens = 16;
  bool layers_together = false;
  bool at_once = false;

  std::string gpu;
  unsigned gpus = 1;
  std::string hbm, host;
  std::optional<double> hbm_rate, link, tflops;  // GB/s and TFLOP/s
  double hbm_percent = 90, flops_percent = 40;
};

// What a driver said of its first GPU.
struct GpuSeen {
  std::string name;
  double memory = 0;  // bytes
};

struct WorkloadRead {
  Workload workload;
  std::string host_from;              // where the host memory comes from, for a person
  std::vector<std::string> refusals;  // empty when the workload is good
};

// `seen`: the GPU of this machine, if there is one; counts where the request names none.
// `host_available`: bytes of host memory that a process here could have.
[[nodiscard]] WorkloadRead read_workload(const Request& request, const std::optional<GpuSeen>& seen,
                                         double host_available);

}  // namespace vhbm::plan
