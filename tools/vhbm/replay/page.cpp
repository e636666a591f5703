// The page is page.html with the figures put in as JSON; its script draws them.
#include "replay/page.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <string_view>
#include <vector>

#include "replay/page_template.h"
#include "replay/residency.h"

namespace vhbm::replay {
namespace {

using Json = nlohmann::ordered_json;

// More than can be told apart on a screen.
constexpr std::size_t most_samples = 400, most_regions = 40, most_stalls = 2000;

// How much of one region was in HBM, and since when.
struct Track {
  std::uint64_t id = 0;
  Bytes size;
  Tag tag = Tag::other;
  std::uint64_t from = 0, to = 0;
  bool ended = false;
  std::vector<std::pair<std::uint64_t, double>> shares;
};

class Shower {
 public:
  explicit Shower(const Recorded& recorded)
      : end_(static_cast<std::uint64_t>(recorded.happened.time.count())),
        step_(std::max<std::uint64_t>(end_ / most_samples, 1)) {
    for (const recording::Record& record : recorded.records) take(record);
    sample(end_);
    for (Track& track : tracks_) {
      if (!track.ended) track.to = end_;
    }
  }

  Json told() {
    std::stable_sort(tracks_.begin(), tracks_.end(),
                     [](const Track& a, const Track& b) { return a.size > b.size; });
    Json regions = Json::array();
    for (std::size_t i = 0; i < std::min(tracks_.size(), most_regions); ++i) {
      const Track& track = tracks_[i];
      regions.push_back({{"id", track.id},
                         {"size", track.size.value},
                         {"tag", name_of(track.tag)},
                         {"from_ns", track.from},
                         {"to_ns", track.to},
                         {"shares", track.shares}});
    }
    // The longest, where there are too many.
    std::sort(stalls_.begin(), stalls_.end(),
              [](const Json& a, const Json& b) { return a[1] > b[1]; });
    if (stalls_.size() > most_stalls) stalls_.resize(most_stalls);
    return {{"end_ns", end_},
            {"tags", tag_names},
            {"samples", samples_},
            {"regions", regions},
            {"region_count", tracks_.size()},
            {"stalls", Json(stalls_)}};
  }

 private:
  void take(const recording::Record& record) {
    const auto at = static_cast<std::uint64_t>(record.at.count());
    if (at >= next_) {
      sample(next_);
      next_ = at - at % step_ + step_;
    }
    if (const auto* gone = std::get_if<recording::region_gone>(&record.content))
      end(gone->index, at);
    if (const auto* came = std::get_if<recording::region>(&record.content)) end(came->index, at);
    if (const auto* flip = std::get_if<recording::flip>(&record.content); flip && flip->stall_ns) {
      stalls_.push_back(Json::array({flip->begin + flip->prepare_ns, flip->stall_ns, "a flip"}));
    }
    if (const auto* closure = std::get_if<recording::closure>(&record.content)) {
      stalls_.push_back(Json::array({closure->begin, closure->stall_ns, "frees"}));
    }
    if (!residency_.take(record)) return;
    if (const auto* came = std::get_if<recording::region>(&record.content)) begin(came->index, at);
    changed_ = true;
  }
  void begin(std::uint64_t index, std::uint64_t at) {
    const Residency::Region& region = residency_.regions().at(index);
    by_index_[index] = tracks_.size();
    tracks_.push_back({region.id, region.size, region.tag, at, at, false, {{at, region.share()}}});
  }
  void end(std::uint64_t index, std::uint64_t at) {
    const auto found = by_index_.find(index);
    if (found == by_index_.end()) return;
    tracks_[found->second].to = at;
    tracks_[found->second].ended = true;
    by_index_.erase(found);
  }
  // Where everything was at the end of a step.
  void sample(std::uint64_t at) {
    if (!changed_) return;
    changed_ = false;
    Json resident = Json::array();
    Bytes host_mapped;
    for (const Bytes bytes : residency_.resident()) resident.push_back(bytes.value);
    for (const Bytes bytes : residency_.host_mapped()) host_mapped += bytes;
    samples_.push_back({{"at_ns", at}, {"resident", resident}, {"host_mapped", host_mapped.value}});
    for (const auto& [index, region] : residency_.regions()) {
      Track& track = tracks_[by_index_.at(index)];
      track.tag = region.tag;
      if (track.shares.back().second != region.share())
        track.shares.emplace_back(at, region.share());
    }
  }

  const std::uint64_t end_, step_;
  std::uint64_t next_ = 0;
  Residency residency_;
  bool changed_ = false;
  Json samples_ = Json::array();
  std::vector<Json> stalls_;
  std::vector<Track> tracks_;
  std::map<std::uint64_t, std::size_t> by_index_;
};

}  // namespace

Status write_page(const Recorded& recorded, const Json& study, const std::string& path) {
  const Json data{{"study", study}, {"timeline", Shower(recorded).told()}};
  std::string text = data.dump(-1, ' ', false, Json::error_handler_t::replace);
  // What a program is called shall not end the script element that holds it.
  for (std::size_t at = 0; (at = text.find('<', at)) != std::string::npos;) {
    text.replace(at, 1, "\\u003c");
  }
  std::string page = page_template;
  const std::string_view mark = ">DATA<";
  page.replace(page.find(mark) + 1, mark.size() - 2, text);
  std::ofstream out(path);
  out << page;
  out.close();
  if (!out) return {Errc::system_error, path + ": cannot be written: " + std::strerror(errno)};
  return {};
}

}  // namespace vhbm::replay
