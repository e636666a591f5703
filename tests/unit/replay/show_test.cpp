// What is written for people and for other programs: the reports, the page, the timeline.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>

#include "replay/page.h"
#include "replay/report.h"
#include "replay/timeline.h"
#include "traces.h"

namespace vhbm::replay {
namespace {

using Json = nlohmann::ordered_json;

class Shown : public ::testing::Test {
 protected:
  void SetUp() override {
    auto read = read_recorded(trace_.path);
    ASSERT_TRUE(read.ok()) << read.status().message();
    recorded_ = std::move(*read);
    choices_.policies = {find_policy("next_use"), find_policy("lru")};
    choices_.options = options_of(recorded_.header);
    choices_.rates = {1e12, 4e10, 2e10};
    choices_.limits = {mib(10), mib(20)};
    study_ = study(recorded_, choices_, {});
  }
  ~Shown() override { std::filesystem::remove(file_); }
  [[nodiscard]] std::string content() const {
    std::ifstream in(file_);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  const SmallTrace trace_;
  const std::string file_ = trace_.path + ".shown";
  const Told told_{"small.vhbm", "--hbm-rate", "the fastest that was recorded"};
  Recorded recorded_;
  Choices choices_;
  Study study_;
};

TEST_F(Shown, TheTableHasARowForEachPolicyAndForWhatReallyHappened) {
  const std::string text = report_text(recorded_, choices_, study_, told_);
  for (const char* expected :
       {"small.vhbm: process 4711", "NVIDIA H200", "6 uses of 3 regions by 2 threads",
        "link 40.00 GB/s in, 20.00 GB/s out (the fastest that was recorded)",
        "hbm_limit 10.0 MiB:", "hbm_limit 20.0 MiB (the recording's own):", "  lru, really ",
        "  next_use ", "  lru on demand ", "  Belady "}) {
    EXPECT_NE(text.find(expected), std::string::npos) << expected << "\n" << text;
  }
  EXPECT_EQ(text.find("lru, really"), text.rfind("lru, really")) << "at its own size only";
}

TEST_F(Shown, JsonSaysTheSame) {
  const Json json = report_json(recorded_, choices_, study_, told_);
  ASSERT_EQ(json["sizes"].size(), 2u);
  EXPECT_EQ(json["sizes"][1]["recorded"]["policy"], "lru");
  EXPECT_EQ(json["sizes"][1]["recorded"]["moved_in_bytes"], mib(4).value);
  EXPECT_FALSE(json["sizes"][0].contains("recorded"));
  for (const char* policy : {"next_use", "lru"}) {
    EXPECT_GE(json["sizes"][0]["policies"][policy]["misses"].get<std::uint64_t>(),
              json["sizes"][0]["belady"]["misses"].get<std::uint64_t>());
  }
}

TEST_F(Shown, ThePageIsWholeAndAsksNobodyElse) {
  ASSERT_TRUE(write_page(recorded_, report_json(recorded_, choices_, study_, told_), file_).ok());
  const std::string page = content();
  EXPECT_TRUE(page.starts_with("<!doctype html>"));
  EXPECT_TRUE(page.ends_with("</html>\n"));
  EXPECT_EQ(page.find("http://"), page.find("http://www.w3.org/2000/svg"));
  for (const char* other : {"https://", "src=", "@import", "url("}) {
    EXPECT_EQ(page.find(other), std::string::npos) << other;
  }
  EXPECT_NE(page.find("prefers-color-scheme: dark"), std::string::npos);
  // Two scripts: the data, which nothing in it can end, and the one that draws.
  const std::string opens = "<script id=\"data\" type=\"application/json\">";
  const std::size_t begin = page.find(opens) + opens.size(), end = page.find("</script>", begin);
  const Json data = Json::parse(page.substr(begin, end - begin), nullptr, false);
  ASSERT_TRUE(data.is_object());
  EXPECT_EQ(data["study"]["command"], "server </script> \"x\"");
  EXPECT_EQ(data["timeline"]["regions"].size(), 3u);
  EXPECT_EQ(data["timeline"]["stalls"].size(), 2u);
  EXPECT_FALSE(write_page(recorded_, {}, "/nowhere/page.html").ok());
}

// Each event as the format asks, and spans of one track one inside the other or one after the
// other, since a viewer draws them as a stack.
TEST_F(Shown, TheTimelineIsInTheTraceEventFormat) {
  ASSERT_TRUE(write_timeline(recorded_, file_).ok());
  const Json json = Json::parse(content(), nullptr, false);
  ASSERT_TRUE(json.is_object());
  ASSERT_TRUE(json["traceEvents"].is_array());
  std::map<std::pair<int, int>, std::vector<std::pair<double, double>>> spans;
  std::set<std::string> names, tracks;
  for (const Json& event : json["traceEvents"]) {
    ASSERT_TRUE(event["ph"].is_string() && event["name"].is_string()) << event;
    ASSERT_TRUE(event["pid"].is_number_integer()) << event;
    const std::string kind = event["ph"];
    names.insert(event["name"]);
    if (kind == "M") {
      const std::string name = event["name"];
      ASSERT_TRUE(name == "process_name" || name == "thread_name" || name == "process_sort_index");
      if (event["args"].contains("name")) tracks.insert(event["args"]["name"]);
      continue;
    }
    ASSERT_TRUE(event["ts"].is_number()) << event;
    EXPECT_GE(event["ts"].get<double>(), 0);
    if (kind == "C") {
      for (const auto& [name, value] : event["args"].items()) EXPECT_TRUE(value.is_number());
      continue;
    }
    ASSERT_EQ(kind, "X") << event;
    ASSERT_TRUE(event["dur"].is_number());
    ASSERT_TRUE(event["tid"].is_number_integer());
    spans[{event["pid"], event["tid"]}].emplace_back(
        event["ts"].get<double>(), event["ts"].get<double>() + event["dur"].get<double>());
  }
  for (auto& [track, all] : spans) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      for (std::size_t k = 0; k < i; ++k) {
        const auto [begin, end] = all[i];
        const auto [other_begin, other_end] = all[k];
        const bool apart = begin >= other_end - 1e-6 || other_begin >= end - 1e-6;
        const bool inside = (begin >= other_begin - 1e-6 && end <= other_end + 1e-6) ||
                            (other_begin >= begin - 1e-6 && other_end <= end + 1e-6);
        EXPECT_TRUE(apart || inside) << begin << " to " << end << ", " << other_begin;
      }
    }
  }
  for (const char* name : {"flip of 3 chunks", "quiesce", "come to HBM", "leave HBM", "frees",
                           "2 uses", "gemm<\"float\">", "bytes in HBM", "bytes in host memory",
                           "asleep", "holds back what would come"}) {
    EXPECT_EQ(names.count(name), 1u) << name;
  }
  for (const char* track : {"flips", "launch gate closed", "thrash guard", "thread 1", "thread 2",
                            "stream 7", "uses, by thread", "kernels, by stream"}) {
    EXPECT_EQ(tracks.count(track), 1u) << track;
  }
  EXPECT_FALSE(write_timeline(recorded_, "/nowhere/timeline.json").ok());
}

}  // namespace
}  // namespace vhbm::replay
