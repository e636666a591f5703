// https://prometheus.io/docs/practices/naming says how metrics are named.
#include "export/metrics.h"

#include <prometheus/text_serializer.h>

#include <string_view>

#include "server.h"

namespace vhbm::cli {
namespace {

// How a unit of the table is told.
struct UnitForm {
  std::string_view ours;  // suffix of the row's name, which gives way
  const char* suffix;     // theirs
  double scale;
};

UnitForm form_of(StatUnit unit) {
  switch (unit) {
    case StatUnit::bytes:
      return {"_bytes", "bytes", 1};
    case StatUnit::bytes_per_second:
      return {"", "bytes_per_second", 1};
    case StatUnit::nanoseconds:
      return {"_ns", "seconds", 1e-9};
    case StatUnit::count:
    case StatUnit::flag:
      break;
  }
  return {"", "", 1};
}

Metric metric_of(const StatRow& row) {
  const UnitForm form = form_of(row.unit);
  const bool counts = row.kind == StatKind::counter;
  std::string name = row.name;
  if (name.ends_with(form.ours)) name.resize(name.size() - form.ours.size());
  if (*form.suffix != '\0') name += std::string("_") + form.suffix;
  return {"vhbm_" + name + (counts ? "_total" : ""), counts ? "counter" : "gauge", form.suffix,
          row.text};
}

Metric start_time() {
  return {"vhbm_start_time_seconds", "gauge", "seconds",
          "when it began to use the GPU, since 1970"};
}

// What a program puts into its command line may be any bytes; labels are UTF-8.
std::string label_text(const std::string& text) {
  std::string result = text;
  for (char& c : result) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  }
  return result;
}

prometheus::ClientMetric sample(const StatsSnapshot& process, double value) {
  prometheus::ClientMetric one;
  one.label = {{"pid", std::to_string(process.pid)},
               {"name", label_text(program_name(process.command))},
               {"device", std::to_string(process.device)}};
  one.counter.value = one.gauge.value = value;
  return one;
}

prometheus::MetricFamily family_of(const Metric& metric) {
  prometheus::MetricFamily family;
  family.name = metric.name;
  family.help = metric.text;
  family.type = std::string_view(metric.type) == "counter" ? prometheus::MetricType::Counter
                                                           : prometheus::MetricType::Gauge;
  return family;
}

}  // namespace

std::vector<Metric> metrics() {
  std::vector<Metric> all = {start_time()};
  for (const StatRow& row : stat_rows) all.push_back(metric_of(row));
  return all;
}

std::vector<prometheus::MetricFamily> metric_families(const std::vector<StatsSnapshot>& processes) {
  std::vector<prometheus::MetricFamily> families;
  if (processes.empty()) return families;
  families.push_back(family_of(start_time()));
  for (const StatsSnapshot& process : processes) {
    families.back().metric.push_back(sample(process, static_cast<double>(process.started_at)));
  }
  for (std::size_t i = 0; i < stat_count; ++i) {
    families.push_back(family_of(metric_of(stat_rows[i])));
    for (const StatsSnapshot& process : processes) {
      const double value =
          static_cast<double>(process.values[i]) * form_of(stat_rows[i].unit).scale;
      families.back().metric.push_back(sample(process, value));
    }
  }
  return families;
}

std::string metrics_text(const std::vector<StatsSnapshot>& processes) {
  return prometheus::TextSerializer().Serialize(metric_families(processes));
}

std::string metrics_table() {
  std::string table = "| metric | type | unit | what it is |\n| --- | --- | --- | --- |\n";
  for (const Metric& metric : metrics()) {
    table += "| `" + metric.name + "` | " + metric.type + " | " + metric.unit + " | " +
             metric.text + " |\n";
  }
  return table;
}

}  // namespace vhbm::cli
