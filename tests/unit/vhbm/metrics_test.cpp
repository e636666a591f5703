// The names that Prometheus sees, and the two files that rely on them.
#include "export/metrics.h"

#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <set>

#include "models.h"

namespace vhbm::cli {
namespace {

std::string content(const std::string& file) {
  std::ifstream stream(std::string(SOURCE_DIR) + "/" + file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::set<std::string> names() {
  std::set<std::string> all;
  for (const Metric& metric : metrics()) all.insert(metric.name);
  return all;
}

TEST(Metrics, AreNamedByPrometheusRules) {
  EXPECT_EQ(names().size(), stat_count + 1);
  for (const char* name :
       {"vhbm_hbm_limit_bytes", "vhbm_resident_bytes", "vhbm_promoted_bytes_total",
        "vhbm_stall_seconds_total", "vhbm_stall_p99_seconds", "vhbm_flips_total", "vhbm_frozen",
        "vhbm_link_to_hbm_bytes_per_second", "vhbm_peak_hbm_bytes"}) {
    EXPECT_EQ(names().count(name), 1u) << name;
  }
  for (const Metric& metric : metrics()) {
    EXPECT_TRUE(std::regex_match(metric.name, std::regex("vhbm(_[a-z0-9]+)+"))) << metric.name;
    EXPECT_EQ(metric.name.ends_with("_total"), std::string(metric.type) == "counter");
  }
}

TEST(Metrics, AreInBaseUnitsAndLabelled) {
  StatsSnapshot process = stats_of(7, "/bin/a\"\xff --x", 5, 6);
  process.device = 1;
  process.values[static_cast<std::size_t>(Stat::stall_ns)] = 2'500'000'000;
  const std::string text = metrics_text({process});
  EXPECT_NE(text.find("\nvhbm_hbm_bytes{pid=\"7\",name=\"a\\\"?\",device=\"1\"} 5\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("\nvhbm_stall_seconds_total{pid=\"7\",name=\"a\\\"?\",device=\"1\"} 2.5"),
            std::string::npos);
  EXPECT_NE(text.find("# TYPE vhbm_stall_seconds_total counter"), std::string::npos);
  EXPECT_EQ(metrics_text({}), "");
}

TEST(Metrics, AreThoseOfTheirPage) {
  EXPECT_NE(content("docs/metrics.md").find("\n" + metrics_table()), std::string::npos)
      << "bring docs/metrics.md up to date: `vhbm export --names` prints its table";
}

TEST(Metrics, AreAllThatTheDashboardNames) {
  const std::string dashboard = content("config/grafana.json"),
                    text = metrics_text({stats_of(1, "a", 1, 1)});
  const std::regex name("vhbm_[a-z0-9_]+");
  std::set<std::string> named;
  for (std::sregex_iterator it(dashboard.begin(), dashboard.end(), name), end; it != end; ++it) {
    named.insert(it->str());
  }
  EXPECT_GT(named.size(), 10u);
  for (const std::string& one : named) {
    EXPECT_NE(text.find("\n" + one + "{"), std::string::npos) << one;
  }
}

}  // namespace
}  // namespace vhbm::cli
