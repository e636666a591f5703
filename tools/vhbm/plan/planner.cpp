#include "planner.h"

#include <algorithm>
#include <cmath>

namespace vhbm::plan {
namespace {

constexpr double chunk_bytes = 2 << 20;

ModelPlan plan_model(const ModelLoad& load, const Workload& workload) {
  const Machine& machine = workload.machine;
  ModelPlan plan;
  std::uint64_t layers = 0;
  for (const LayerGroup& group : load.shape.groups) layers += group.layers;
  for (const LayerGroup& group : load.shape.groups) {
    const double one = kv_bytes(group, load.context, load.kv_bits, machine.gpus);
    const double all = one * static_cast<double>(load.sessions);
    plan.kv_session += one;
    plan.kv_all += all;
    plan.kv_active += one * static_cast<double>(load.active);
    plan.kv_touched += all * touched_share(group, layers, workload.layout, load, machine.gpus);
  }
  plan.working_set = load.shape.weight_bytes + plan.kv_touched;
  plan.all = load.shape.weight_bytes + plan.kv_all;
  plan.wake = std::min(plan.working_set, machine.usable()) / machine.rate();
  plan.transfer = plan.kv_session / machine.rate();
  plan.recompute = prefill_operations(load.shape, load.context) /
                   (machine.flops * machine.flops_share * machine.gpus);
  return plan;
}

}  // namespace

double blocks_a_chunk(const LayerGroup& group, std::uint64_t layers_together,
                      const KvLayout& layout, unsigned kv_bits, unsigned gpus) {
  if (layout.block_tokens == 0 || group.elements == 0) return 1;
  const double copies = std::max(1.0, static_cast<double>(gpus) / static_cast<double>(group.heads));
  // On one GPU, and in one of the arrays.
  const double token = static_cast<double>(group.elements) * kv_bits / 8 * copies / gpus;
  const double block = token * static_cast<double>(layout.block_tokens) *
                       (layout.layers_together ? static_cast<double>(layers_together)
                                               : 1.0 / static_cast<double>(group.planes));
  return std::max(1.0, chunk_bytes / block);
}

double touched_share(const LayerGroup& group, std::uint64_t layers_together, const KvLayout& layout,
                     const ModelLoad& load, unsigned gpus) {
  const double active = static_cast<double>(load.active) / static_cast<double>(load.sessions);
  const double together = blocks_a_chunk(group, layers_together, layout, load.kv_bits, gpus);
  return 1 - std::pow(1 - active, together);
}

Plan make_plan(const Workload& workload) {
  Plan plan;
  double together = 0;
  for (const ModelLoad& load : workload.models) {
    const ModelPlan& one = plan.models.emplace_back(plan_model(load, workload));
    plan.all += one.all;
    together += one.working_set;
    plan.working_set = std::max(plan.working_set, one.working_set);
  }
  if (workload.at_once) plan.working_set = together;
  const double usable = workload.machine.usable();
  plan.host_needed = std::max(0.0, plan.all - usable);
  // A step reads each byte of the working set once: what HBM does not hold comes over the link.
  const double outside =
      plan.working_set == 0 ? 0 : std::max(0.0, plan.working_set - usable) / plan.working_set;
  const double rates = workload.machine.hbm_rate * workload.machine.gpus / workload.machine.rate();
  plan.slowdown = 1 + outside * std::max(0.0, rates - 1);
  return plan;
}

}  // namespace vhbm::plan
