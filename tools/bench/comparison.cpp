#include "tools/bench/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace vhbm::bench {
namespace {

// Google Benchmark marks calls that are timed by the clock.
constexpr std::string_view clock_mark = "/real_time";

double least(const std::vector<double>& values) {
  return values.empty() ? 0 : *std::min_element(values.begin(), values.end());
}

}  // namespace

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double Row::native() const {
  return least(native_ns);
}
double Row::with_vhbm() const {
  return least(with_ns);
}
double Row::median_added() const {
  return median(with_ns) - median(native_ns);
}

Row& Comparison::row(const std::string& driver, const std::string& call) {
  for (Row& known : rows_) {
    if (known.driver == driver && known.call == call) return known;
  }
  rows_.push_back({driver, call, {}, {}});
  return rows_.back();
}

bool Comparison::add(const std::string& driver, Run run, const std::string& json,
                     std::string* why_not) {
  const auto result = nlohmann::json::parse(json, nullptr, false);
  if (result.is_discarded() || !result.contains("context") || !result.contains("benchmarks") ||
      result["benchmarks"].empty()) {
    *why_not = "the benchmark program gave no figures: " + json.substr(0, 200);
    return false;
  }
  const bool paged = result["context"].value("paged", "") == "yes";
  if (paged != (run == Run::with_vhbm)) {
    *why_not = paged ? "vHBM was there in a native run: is LD_PRELOAD set?"
                     : "vHBM did not take part in a run that preloaded it";
    return false;
  }
  for (const auto& one : result["benchmarks"]) {
    std::string call = one["name"];
    const bool by_clock = call.ends_with(clock_mark);
    if (by_clock) call.resize(call.size() - clock_mark.size());
    const double ns = one[by_clock ? "real_time" : "cpu_time"];
    Row& its_row = row(driver, call);
    (run == Run::native ? its_row.native_ns : its_row.with_ns).push_back(ns);
  }
  return true;
}

const char* Comparison::verdict(const Row& row) const {
  if (!row.is_launch()) return "";
  return row.median_added() <= most_added_ns_ ? "yes" : "no";
}

std::string Comparison::to_text() const {
  std::string text =
      fmt::format("{:<14} {:<39} {:>10} {:>10} {:>10} {:>7} {:>9}  <= {:.0f} ns\n", "driver",
                  "call", "native ns", "vHBM ns", "added ns", "ratio", "median +", most_added_ns_);
  for (const Row& row : rows_) {
    text += fmt::format("{:<14} {:<39} {:>10.1f} {:>10.1f} {:>10.1f} {:>7.2f} {:>9.1f}  {}\n",
                        row.driver, row.call, row.native(), row.with_vhbm(), row.added(),
                        row.ratio(), row.median_added(), verdict(row));
  }
  return text;
}

std::string Comparison::to_json() const {
  auto all = nlohmann::json::array();
  for (const Row& row : rows_) {
    nlohmann::json one{{"driver", row.driver},      {"call", row.call},
                       {"native_ns", row.native()}, {"vhbm_ns", row.with_vhbm()},
                       {"added_ns", row.added()},   {"median_added_ns", row.median_added()},
                       {"ratio", row.ratio()},      {"rounds", row.with_ns.size()}};
    if (row.is_launch()) one["within_limit"] = row.median_added() <= most_added_ns_;
    all.push_back(std::move(one));
  }
  return nlohmann::json{{"most_added_ns", most_added_ns_}, {"calls", all}}.dump(2) + "\n";
}

}  // namespace vhbm::bench
