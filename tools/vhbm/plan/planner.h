// What a workload needs of a machine: how much of it is in use at once, what moving costs, and
// whether paging it is worth anything. Pure functions of values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model_shape.h"

namespace vhbm::plan {

// Of one GPU, except `gpus`, and `host`, which all of them share.
struct Machine {
  std::string gpu;
  unsigned gpus = 1;
  double hbm_bytes = 0;
  double hbm_share = 0.9;    // of it, for weights and KV
  double hbm_rate = 0;       // bytes a second
  double link_rate = 0;      // bytes a second that a pinned copy reaches, one way
  double flops = 0;          // a second, dense
  double flops_share = 0.4;  // of it, that prompts reach
  double host_bytes = 0;

  [[nodiscard]] double usable() const { return hbm_bytes * hbm_share * gpus; }
  // What a stream of moves is planned with: nine tenths of what a copy reaches.
  [[nodiscard]] double rate() const { return 0.9 * link_rate * gpus; }
};

// How a server lays out its KV.
struct KvLayout {
  std::uint64_t block_tokens = 16;  // 0: each session lies in one piece
  bool layers_together = false;     // all layers of a block lie side by side
};

struct ModelLoad {
  ModelShape shape;
  std::uint64_t context = 0;   // tokens of a session
  std::uint64_t sessions = 1;  // whose KV is kept
  std::uint64_t active = 1;    // that decode at the same time
  unsigned kv_bits = 16;
};

struct Workload {
  Machine machine;
  KvLayout layout;
  std::vector<ModelLoad> models;
  bool at_once = false;  // all models work at the same time, not by turns
};

// Sizes in bytes over all GPUs, times in seconds.
struct ModelPlan {
  double kv_session = 0;
  double kv_all = 0;
  double kv_active = 0;
  double kv_touched = 0;   // of the chunks that hold a block of an active session, at most
  double working_set = 0;  // weights and kv_touched: what should be in HBM while it works
  double all = 0;          // weights and kv_all
  double wake = 0;         // the working set, as far as HBM takes it, over the link
  double transfer = 0;     // the KV of one session over the link
  double recompute = 0;    // the same session's prompt, computed again
};

struct Plan {
  std::vector<ModelPlan> models;
  double all = 0;
  double working_set = 0;  // the largest that is there at once
  double host_needed = 0;  // what does not fit into HBM
  double slowdown = 1;     // of a step, for what it reads over the link instead of from HBM
};

[[nodiscard]] Plan make_plan(const Workload& workload);

// Of the KV of a layer group, the share that lies in chunks which hold at least one block of an
// active session, if blocks lie at random: an upper bound, since servers place them by age.
[[nodiscard]] double touched_share(const LayerGroup& group, std::uint64_t layers_together,
                                   const KvLayout& layout, const ModelLoad& load, unsigned gpus);
// How many blocks of that group share a chunk of 2 MiB; at least 1.
[[nodiscard]] double blocks_a_chunk(const LayerGroup& group, std::uint64_t layers_together,
                                    const KvLayout& layout, unsigned kv_bits, unsigned gpus);

}  // namespace vhbm::plan
