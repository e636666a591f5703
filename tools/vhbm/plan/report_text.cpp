#include <algorithm>
#include <cstdio>

#include "../quantity.h"
#include "../terminal.h"
#include "gpu_table.h"
#include "model_families.h"
#include "report.h"
#include "runtime/words.h"

namespace vhbm::plan {
namespace {

std::string bytes(double value) {
  return cli::bytes_text(static_cast<std::uint64_t>(std::max(0.0, value)));
}

std::string seconds(double value) {
  return cli::duration_text(static_cast<std::uint64_t>(std::clamp(value, 0.0, 1e9) * 1e9));
}

template <typename... Values>
std::string format(const char* form, Values... values) {
  char text[256];
  std::snprintf(text, sizeof text, form, values...);
  return text;
}

// Columns as wide as their widest cell: the first to the left, the others to the right.
std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - row[i].size(), ' ');
      text += i == 0 ? row[i] + (row.size() == 1 ? "" : space) : "  " + space + row[i];
    }
    text += "\n";
  }
  return text;
}

// Broken between words, so that no line is wider than 96 columns.
std::string wrapped(const std::string& text, const std::string& first, const std::string& rest) {
  constexpr std::size_t width = 96;
  std::string result, line = first;
  bool empty = true;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    if (!empty && line.size() + 1 + end - at > width) {
      result += line + "\n";
      line = rest;
      empty = true;
    }
    line += (empty ? "" : " ") + text.substr(at, end - at);
    empty = false;
    at = end + 1;
  }
  return result + line + "\n";
}

std::string machine_text(const Machine& machine, const std::string& host_from) {
  const std::string number = machine.gpus == 1 ? "" : format("%u x ", machine.gpus);
  return "GPU   " + number + (machine.gpu.empty() ? "as given" : machine.gpu) + ": " +
         bytes(machine.hbm_bytes) + " of HBM, " +
         format("%.0f%% of it for weights and KV; ", machine.hbm_share * 100) +
         format("HBM %.0f GB/s, link %.4g GB/s, %.0f TFLOP/s", machine.hbm_rate / 1e9,
                machine.link_rate / 1e9, machine.flops / 1e12) +
         "\nhost  " + bytes(machine.host_bytes) + " (" + host_from + ")\n";
}

std::string layers_text(const ModelShape& shape) {
  std::vector<std::string> parts;
  for (const LayerGroup& group : shape.groups) {
    std::string part = std::to_string(group.layers) + " " + name_of(group.kind);
    if (group.window != 0) part += " of " + std::to_string(group.window) + " tokens";
    parts.push_back(part);
  }
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

std::string models_text(const Workload& workload, const Plan& plan) {
  std::vector<std::vector<std::string>> rows = {{"model", "weights", "KV a token", "context",
                                                 "KV a session", "sessions", "active", "in use",
                                                 "in all", "wake"}};
  for (std::size_t i = 0; i < plan.models.size(); ++i) {
    const ModelLoad& load = workload.models[i];
    const ModelPlan& one = plan.models[i];
    rows.push_back({cli::printable(load.shape.name), bytes(load.shape.weight_bytes),
                    bytes(kv_bytes_per_token(load.shape, load.kv_bits)),
                    std::to_string(load.context), bytes(one.kv_session),
                    std::to_string(load.sessions), std::to_string(load.active),
                    bytes(one.working_set), bytes(one.all), seconds(one.wake)});
  }
  std::string text = table(rows) + "\n";
  for (const ModelLoad& load : workload.models) {
    text += wrapped(cli::printable(load.shape.name) + ": " + layers_text(load.shape) +
                        "; weights: " + load.shape.weights_from +
                        (load.shape.parameters == 0
                             ? ""
                             : format(", %.3g billion parameters", load.shape.parameters / 1e9)) +
                        (load.shape.active_parameters == load.shape.parameters
                             ? ""
                             : format(", %.3g active", load.shape.active_parameters / 1e9)),
                    "  ", "    ");
  }
  return text;
}

std::string sessions_text(const Workload& workload, const Plan& plan) {
  std::vector<std::vector<std::string>> rows = {
      {"one session's KV", "bytes", "back from host", "computed again", "ratio"}};
  for (std::size_t i = 0; i < plan.models.size(); ++i) {
    const ModelPlan& one = plan.models[i];
    rows.push_back({cli::printable(workload.models[i].shape.name), bytes(one.kv_session),
                    seconds(one.transfer), seconds(one.recompute),
                    one.transfer > 0 ? format("%.1f", one.recompute / one.transfer) : "-"});
  }
  return table(rows);
}

std::string points_text(const std::vector<Point>& points) {
  std::string text;
  for (const Point& point : points) text += wrapped(cli::printable(point.text), "  - ", "    ");
  return text;
}

}  // namespace

std::string plan_text(const WorkloadRead& read, const Plan& plan, const Verdict& verdict) {
  const Workload& workload = read.workload;
  std::string text = machine_text(workload.machine, read.host_from) + "\n" +
                     models_text(workload, plan) + "\n" + sessions_text(workload, plan) + "\n";
  const cli::Colour colour = verdict.answer == Answer::no ? cli::Colour::red : cli::Colour::green;
  text += "vHBM: " + cli::painted(name_of(verdict.answer), colour, stdout) + "\n" +
          points_text(verdict.reasons);
  if (verdict.answer != Answer::no) return text;
  if (verdict.instead.empty()) {
    return text + "No single change cures that; several together may: plan again with them.\n";
  }
  return text + "First, any one of:\n" + points_text(verdict.instead);
}

std::string known_text() {
  std::vector<std::vector<std::string>> rows = {
      {"--gpu", "HBM", "HBM GB/s", "link GB/s", "TFLOP/s"}};
  for (const GpuKnown& gpu : known_gpus()) {
    rows.push_back({gpu.name, format("%.0f GiB", gpu.hbm_gib), format("%.0f", gpu.bandwidth_gbps),
                    format("%.4g", gpu.link_gbps), format("%.0f", gpu.tflops)});
  }
  std::string text = table(rows) + "\nFrom:\n";
  for (const GpuKnown& gpu : known_gpus()) {
    text += std::string("  ") + gpu.name + ": " + gpu.source + "\n";
  }
  return text + "\n" +
         wrapped("Models by their config.json's model_type: " + joined_with_or(known_families()),
                 "", "  ");
}

}  // namespace vhbm::plan
