// The statistics as Prometheus wants them: a metric a row of runtime/stats.def, named by its rules
// (base units, the unit as suffix, _total for counters), labelled by process and device.
#pragma once

#include <prometheus/metric_family.h>

#include <string>
#include <vector>

#include "runtime/stats_reader.h"

namespace vhbm::cli {

struct Metric {
  std::string name;
  const char* type;  // "counter" or "gauge"
  const char* unit;  // "" for plain numbers
  const char* text;
};
// In the order of the table; what is not in it comes first.
[[nodiscard]] std::vector<Metric> metrics();

[[nodiscard]] std::vector<prometheus::MetricFamily> metric_families(
    const std::vector<StatsSnapshot>& processes);
// The same in Prometheus' text format.
[[nodiscard]] std::string metrics_text(const std::vector<StatsSnapshot>& processes);
// The names as a table in Markdown, for docs/metrics.md.
[[nodiscard]] std::string metrics_table();

}  // namespace vhbm::cli
