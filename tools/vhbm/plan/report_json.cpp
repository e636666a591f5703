// Sizes in bytes, times in seconds, rates in a second; all over the GPUs together.
#include <cmath>
#include <nlohmann/json.hpp>

#include "gpu_table.h"
#include "model_families.h"
#include "report.h"

namespace vhbm::plan {
namespace {

using Json = nlohmann::ordered_json;

// A name may hold any bytes; what is not UTF-8 is replaced.
std::string written(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::uint64_t whole(double value) {
  return static_cast<std::uint64_t>(std::llround(std::min(value, 9e18)));
}

Json json_of(const std::vector<Point>& points) {
  Json list = Json::array();
  for (const Point& point : points) list.push_back({{"about", point.about}, {"text", point.text}});
  return list;
}

Json json_of(const ModelLoad& load, const ModelPlan& plan) {
  Json groups = Json::array();
  for (const LayerGroup& group : load.shape.groups) {
    groups.push_back({{"kind", name_of(group.kind)},
                      {"layers", group.layers},
                      {"elements_a_token", group.elements},
                      {"window_tokens", group.window},
                      {"state_bytes", group.state_bytes}});
  }
  return {{"name", load.shape.name},
          {"family", load.shape.family},
          {"layers", groups},
          {"parameters", whole(load.shape.parameters)},
          {"active_parameters", whole(load.shape.active_parameters)},
          {"weight_bytes", whole(load.shape.weight_bytes)},
          {"weights_from", load.shape.weights_from},
          {"kv_bits", load.kv_bits},
          {"kv_bytes_a_token", whole(kv_bytes_per_token(load.shape, load.kv_bits))},
          {"context_tokens", load.context},
          {"sessions", load.sessions},
          {"active_sessions", load.active},
          {"kv_bytes_a_session", whole(plan.kv_session)},
          {"kv_bytes", whole(plan.kv_all)},
          {"kv_bytes_active", whole(plan.kv_active)},
          {"kv_bytes_in_chunks_in_use", whole(plan.kv_touched)},
          {"working_set_bytes", whole(plan.working_set)},
          {"all_bytes", whole(plan.all)},
          {"wake_seconds", plan.wake},
          {"transfer_seconds", plan.transfer},
          {"recompute_seconds", plan.recompute}};
}

}  // namespace

std::string plan_json(const WorkloadRead& read, const Plan& plan, const Verdict& verdict) {
  const Workload& workload = read.workload;
  const Machine& machine = workload.machine;
  Json json;
  json["verdict"] = verdict.answer == Answer::no         ? "dont"
                    : verdict.answer == Answer::worth_it ? "worth_it"
                                                         : "not_needed";
  json["reasons"] = json_of(verdict.reasons);
  json["instead"] = json_of(verdict.instead);
  json["machine"] = {{"gpu", machine.gpu},
                     {"gpus", machine.gpus},
                     {"hbm_bytes_each", whole(machine.hbm_bytes)},
                     {"hbm_usable_bytes", whole(machine.usable())},
                     {"hbm_bytes_a_second_each", machine.hbm_rate},
                     {"link_bytes_a_second_each", machine.link_rate},
                     {"planned_bytes_a_second", machine.rate()},
                     {"flops_each", machine.flops},
                     {"flops_share", machine.flops_share},
                     {"host_bytes", whole(machine.host_bytes)}};
  json["models"] = Json::array();
  for (std::size_t i = 0; i < plan.models.size(); ++i) {
    json["models"].push_back(json_of(workload.models[i], plan.models[i]));
  }
  json["working_set_bytes"] = whole(plan.working_set);
  json["all_bytes"] = whole(plan.all);
  json["host_needed_bytes"] = whole(plan.host_needed);
  json["slowdown"] = plan.slowdown;
  return written(json);
}

std::string known_json() {
  Json json;
  for (const GpuKnown& gpu : known_gpus()) {
    json["gpus"].push_back({{"name", gpu.name},
                            {"hbm_gib", gpu.hbm_gib},
                            {"hbm_gbps", gpu.bandwidth_gbps},
                            {"link_gbps", gpu.link_gbps},
                            {"tflops", gpu.tflops},
                            {"source", gpu.source}});
  }
  json["families"] = known_families();
  return written(json);
}

}  // namespace vhbm::plan
