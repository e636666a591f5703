// Each change is tried by planning again with it: nothing is said that the plan does not bear out.
#include "verdict.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <optional>

#include "../quantity.h"

namespace vhbm::plan {
namespace {

std::string bytes(double value) {
  return cli::bytes_text(static_cast<std::uint64_t>(std::max(0.0, value)));
}

std::string seconds(double value) {
  return cli::duration_text(static_cast<std::uint64_t>(std::clamp(value, 0.0, 1e9) * 1e9));
}

std::string times(double factor) {
  char text[32];
  std::snprintf(text, sizeof text, factor < 10 ? "%.1f times" : "%.0f times", factor);
  return text;
}

bool some_kv_rests(const Workload& workload) {
  return std::any_of(workload.models.begin(), workload.models.end(),
                     [](const ModelLoad& load) { return load.active < load.sessions; });
}

// Whether the KV that rests is computed again sooner than it is brought back.
bool recompute_wins(const Workload& workload, const Plan& plan) {
  for (std::size_t i = 0; i < plan.models.size(); ++i) {
    const ModelLoad& load = workload.models[i];
    if (load.active < load.sessions && plan.models[i].transfer >= plan.models[i].recompute) {
      return true;
    }
  }
  return false;
}

// What speaks against it; empty when nothing does.
std::vector<Point> objections(const Workload& workload, const Plan& plan) {
  std::vector<Point> points;
  const Machine& machine = workload.machine;
  if (plan.host_needed == 0) return points;
  if (plan.slowdown > slowest_worth) {
    points.push_back({"working_set", "what is in use at once, " + bytes(plan.working_set) +
                                         ", exceeds the " + bytes(machine.usable()) +
                                         " of HBM: each step would be " + times(plan.slowdown) +
                                         " as long, reading the rest over the link"});
  }
  if (plan.host_needed > machine.host_bytes) {
    points.push_back({"host", bytes(plan.host_needed) +
                                  " do not fit into HBM, and host memory takes " +
                                  bytes(machine.host_bytes)});
  }
  if (some_kv_rests(workload) && recompute_wins(workload, plan)) {
    points.push_back(
        {"recompute", "a session's KV is computed again sooner than it is brought back"});
  }
  return points;
}

bool accepted(const Workload& workload) {
  return objections(workload, make_plan(workload)).empty();
}

// The largest of 1 to `most` that is accepted; nullopt when none is. Accepted ones are the smaller.
std::optional<std::uint64_t> largest(std::uint64_t most,
                                     const std::function<bool(std::uint64_t)>& is_accepted) {
  if (most == 0 || !is_accepted(1)) return std::nullopt;
  std::uint64_t good = 1, bad = most + 1;
  while (bad - good > 1) {
    const std::uint64_t middle = good + (bad - good) / 2;
    (is_accepted(middle) ? good : bad) = middle;
  }
  return good;
}

using Change = std::optional<Point> (*)(const Workload& workload);

std::optional<Point> shorter_context(const Workload& workload) {
  std::uint64_t longest = 0;
  for (const ModelLoad& load : workload.models) longest = std::max(longest, load.context);
  const auto with = [&](std::uint64_t tokens) {
    Workload changed = workload;
    for (ModelLoad& load : changed.models) load.context = std::min(load.context, tokens);
    return changed;
  };
  const auto tokens = largest(longest, [&](std::uint64_t value) { return accepted(with(value)); });
  if (!tokens || *tokens < 256) return std::nullopt;  // no context to speak of
  return Point{"context", "a context of at most " + std::to_string(*tokens) + " tokens (now " +
                              std::to_string(longest) + "): in use at once are then " +
                              bytes(make_plan(with(*tokens)).working_set)};
}

std::optional<Point> smaller_elements(const Workload& workload) {
  Workload changed = workload;
  bool smaller = false;
  for (ModelLoad& load : changed.models) {
    smaller |= load.kv_bits > 8;
    load.kv_bits = std::min(load.kv_bits, 8U);
  }
  if (!smaller || !accepted(changed)) return std::nullopt;
  const Plan before = make_plan(workload), after = make_plan(changed);
  return Point{"kv_bits", "FP8 KV: " + bytes(after.all) + " in all instead of " +
                              bytes(before.all) + ", " + bytes(after.working_set) +
                              " of it in use at once"};
}

std::optional<Point> larger_blocks(const Workload& workload) {
  if (workload.layout.block_tokens == 0 || !some_kv_rests(workload)) return std::nullopt;
  const double before = make_plan(workload).working_set;
  for (std::uint64_t tokens = workload.layout.block_tokens * 2; tokens <= 4096; tokens *= 2) {
    Workload changed = workload;
    changed.layout.block_tokens = tokens;
    if (!accepted(changed)) continue;
    return Point{"block_tokens", "blocks of " + std::to_string(tokens) + " tokens (now " +
                                     std::to_string(workload.layout.block_tokens) +
                                     "): fewer of different sessions share a chunk, so that " +
                                     bytes(make_plan(changed).working_set) +
                                     " are in use at once instead of " + bytes(before)};
  }
  return std::nullopt;
}

std::optional<Point> layers_together(const Workload& workload) {
  if (workload.layout.layers_together || !some_kv_rests(workload)) return std::nullopt;
  Workload changed = workload;
  changed.layout.layers_together = true;
  if (!accepted(changed)) return std::nullopt;
  return Point{"layers_together", "a KV layout with all layers of a block side by side: " +
                                      bytes(make_plan(changed).working_set) +
                                      " are in use at once"};
}

std::optional<Point> fewer_sessions(const Workload& workload) {
  std::uint64_t most = 0;
  for (const ModelLoad& load : workload.models) most = std::max(most, load.active);
  const auto with = [&](std::uint64_t sessions) {
    Workload changed = workload;
    for (ModelLoad& load : changed.models) load.active = std::min(load.active, sessions);
    return changed;
  };
  if (most < 2) return std::nullopt;
  const auto sessions =
      largest(most - 1, [&](std::uint64_t value) { return accepted(with(value)); });
  if (!sessions) return std::nullopt;
  return Point{"active", "at most " + std::to_string(*sessions) +
                             " sessions that decode at the same " + "time (now " +
                             std::to_string(most) + ")"};
}

std::optional<Point> more_gpus(const Workload& workload) {
  for (unsigned gpus = workload.machine.gpus * 2; gpus <= 64; gpus *= 2) {
    Workload changed = workload;
    changed.machine.gpus = gpus;
    if (!accepted(changed)) continue;
    return Point{"gpus", std::to_string(gpus) + " GPUs: " + bytes(changed.machine.usable()) +
                             " of HBM for " + bytes(make_plan(changed).working_set) +
                             " in use at once"};
  }
  return std::nullopt;
}

std::optional<Point> more_host(const Workload& workload) {
  Workload changed = workload;
  changed.machine.host_bytes = make_plan(workload).host_needed;
  if (changed.machine.host_bytes <= workload.machine.host_bytes || !accepted(changed)) {
    return std::nullopt;
  }
  return Point{"host", bytes(changed.machine.host_bytes) + " of host memory"};
}

constexpr Change changes[] = {smaller_elements, larger_blocks, layers_together, shorter_context,
                              fewer_sessions,   more_host,     more_gpus};

std::vector<Point> in_favour(const Workload& workload, const Plan& plan) {
  std::vector<Point> points;
  points.push_back({"working_set", bytes(plan.working_set) + " are in use at once, of " +
                                       bytes(plan.all) + " in all, and HBM takes " +
                                       bytes(workload.machine.usable())});
  if (plan.slowdown > 1.005) {
    points.push_back({"slowdown", "a step takes " + times(plan.slowdown) +
                                      " as long, for what it reads over the link"});
  }
  if (plan.models.size() > 1 && !workload.at_once) {
    double longest = 0;
    for (const ModelPlan& one : plan.models) longest = std::max(longest, one.wake);
    points.push_back({"wake", "a change of turns takes " + seconds(longest) +
                                  " at most: what the next model has in use, over the link"});
  }
  for (std::size_t i = 0; i < plan.models.size(); ++i) {
    const ModelPlan& one = plan.models[i];
    if (workload.models[i].active == workload.models[i].sessions || one.transfer <= 0) continue;
    points.push_back({"transfer", workload.models[i].shape.name +
                                      ": a session that returns has its KV " + "back in " +
                                      seconds(one.transfer) + ", and computes it in " +
                                      seconds(one.recompute) + ", " +
                                      times(one.recompute / one.transfer) + " as long"});
  }
  return points;
}

}  // namespace

const char* name_of(Answer answer) {
  switch (answer) {
    case Answer::not_needed:
      return "not needed";
    case Answer::worth_it:
      return "worth it";
    case Answer::no:
      return "don't";
  }
  return "";
}

Verdict judge(const Workload& workload) {
  const Plan plan = make_plan(workload);
  Verdict verdict;
  if (plan.host_needed == 0) {
    verdict.reasons.push_back({"fits", bytes(plan.all) + " in all fit into the " +
                                           bytes(workload.machine.usable()) + " of HBM"});
    return verdict;
  }
  verdict.reasons = objections(workload, plan);
  if (verdict.reasons.empty()) {
    verdict.answer = Answer::worth_it;
    verdict.reasons = in_favour(workload, plan);
    return verdict;
  }
  verdict.answer = Answer::no;
  for (const Change change : changes) {
    if (const auto point = change(workload)) verdict.instead.push_back(*point);
  }
  return verdict;
}

}  // namespace vhbm::plan
