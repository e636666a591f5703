#include "replay/report.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "quantity.h"

namespace vhbm::replay {
namespace {

using cli::bytes_text;
using cli::duration_text;
using cli::rate_text;
using Json = nlohmann::ordered_json;

[[gnu::format(printf, 1, 2)]] std::string text(const char* format, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  return line;
}

std::uint64_t count_of(std::chrono::nanoseconds length) {
  return static_cast<std::uint64_t>(length.count());
}

// A row of the table: a policy's, or what really happened.
struct Row {
  std::string name;
  std::uint64_t misses;
  Bytes in_place, moved_in, moved_out;
  std::chrono::nanoseconds time, stall;
  std::uint64_t flips, foreseen, seen;
};

Row row_of(const PolicyResult& one) {
  const Played& played = one.played;
  return {one.policy->name, played.misses, played.in_place, played.moved_in, played.moved_out,
          played.time,      played.stall,  played.flips,    played.foreseen, played.seen};
}

Row row_of(const std::string& policy, const Happened& happened) {
  return {policy + ", really", happened.misses, happened.in_place, happened.moved_in,
          happened.moved_out,  happened.time,   happened.stall,    happened.flips,
          happened.foreseen,   happened.seen};
}

std::string number(std::optional<double> value) {
  return value ? text(*value < 100 ? "%.2f" : "%.0f", *value) : "-";
}

Json json_of(std::optional<double> value) {
  return value ? Json(*value) : Json(nullptr);
}

std::string line_of(const Row& row, const SizeResult& size) {
  const auto over_link = static_cast<double>((row.in_place + row.moved_in).value);
  const std::string foreseen =
      row.seen == 0 ? "-" : text("%.1f%%", foreseen_percent(row.foreseen, row.seen));
  return text(
      "  %-18s %11llu %8s %11s %11s %11s %11s %7s %10s %8s\n", row.name.c_str(),
      static_cast<unsigned long long>(row.misses),
      number(times(over_link, static_cast<double>(size.least.over_link.value))).c_str(),
      bytes_text(row.in_place.value).c_str(), bytes_text(row.moved_in.value).c_str(),
      bytes_text(row.moved_out.value).c_str(), duration_text(count_of(row.time)).c_str(),
      number(times(static_cast<double>(row.time.count()), static_cast<double>(size.best.count())))
          .c_str(),
      duration_text(count_of(row.stall)).c_str(), foreseen.c_str());
}

// What the order of use alone makes of it.
std::string line_of(const char* name, const Least& least, const SizeResult& size,
                    const std::string& note) {
  return text("  %-18s %11llu %8s   %s\n", name, static_cast<unsigned long long>(least.misses),
              number(times(static_cast<double>(least.over_link.value),
                           static_cast<double>(size.least.over_link.value)))
                  .c_str(),
              note.c_str());
}

std::string table_of(const Recorded& recorded, const Study& study, const SizeResult& size) {
  std::string made =
      text("\nhbm_limit %s%s: %s for chunks, %.0f%% of what the regions take\n",
           bytes_text(size.limit.value).c_str(), size.own ? " (the recording's own)" : "",
           bytes_text(size.room.value).c_str(),
           100 * static_cast<double>(size.room.value) /
               static_cast<double>(std::max<std::uint64_t>(study.peak.value, 1)));
  made +=
      text("  %-18s %11s %8s %11s %11s %11s %11s %7s %10s %8s\n", "POLICY", "MISSES", "x BELADY",
           "IN PLACE", "MOVED IN", "MOVED OUT", "TIME", "x BEST", "STALL", "FORESEEN");
  if (!size.recorded_policy.empty()) {
    made += line_of(row_of(size.recorded_policy, recorded.happened), size);
  }
  for (const PolicyResult& one : size.policies) made += line_of(row_of(one), size);
  made += line_of("lru on demand", size.on_demand, size, "if moving cost nothing but its bytes");
  made += line_of("Belady", size.least, size,
                  bytes_text(size.least.over_link.value) + " over the link at least; at best " +
                      duration_text(count_of(size.best)));
  return made;
}

Json json_of(const Row& row, const SizeResult& size) {
  const Bytes over_link = row.in_place + row.moved_in;
  return {{"misses", row.misses},
          {"over_link_bytes", over_link.value},
          {"x_belady", json_of(times(static_cast<double>(over_link.value),
                                     static_cast<double>(size.least.over_link.value)))},
          {"in_place_bytes", row.in_place.value},
          {"moved_in_bytes", row.moved_in.value},
          {"moved_out_bytes", row.moved_out.value},
          {"time_ns", row.time.count()},
          {"x_best", json_of(times(static_cast<double>(row.time.count()),
                                   static_cast<double>(size.best.count())))},
          {"stall_ns", row.stall.count()},
          {"flips", row.flips},
          {"foreseen_percent", foreseen_percent(row.foreseen, row.seen)}};
}

Json json_of(const Least& least) {
  return {{"misses", least.misses}, {"over_link_bytes", least.over_link.value}};
}

}  // namespace

std::optional<double> times(double one, double other) {
  if (other > 0) return one / other;
  return one > 0 ? std::nullopt : std::optional(1.0);
}

double foreseen_percent(std::uint64_t foreseen, std::uint64_t seen) {
  return seen == 0 ? 0 : 100 * static_cast<double>(foreseen) / static_cast<double>(seen);
}

std::string report_text(const Recorded& recorded, const Choices& choices, const Study& study,
                        const Told& told) {
  const Happened& happened = recorded.happened;
  std::string made = text(
      "%s: process %lld (%.200s), device %lld%s%s, %s\n", told.file.c_str(),
      static_cast<long long>(recorded.header.pid),
      cli::short_command(recorded.header.command).c_str(),
      static_cast<long long>(recorded.header.device), recorded.header.gpu.empty() ? "" : ": ",
      cli::printable(recorded.header.gpu).c_str(), duration_text(count_of(happened.time)).c_str());
  made += text("%llu uses of %zu regions by %llu thread%s; the regions take %s at most\n",
               static_cast<unsigned long long>(happened.uses), recorded.workload.lives.size(),
               static_cast<unsigned long long>(recorded.lanes), recorded.lanes == 1 ? "" : "s",
               bytes_text(study.peak.value).c_str());
  made += text("HBM %s (%s), link %s in, %s out (%s)\n", rate_text(choices.rates.hbm).c_str(),
               told.hbm_rate_from.c_str(), rate_text(choices.rates.to_hbm).c_str(),
               rate_text(choices.rates.to_host).c_str(), told.link_rate_from.c_str());
  if (recorded.cut_off) made += "the trace is not whole: " + *recorded.cut_off + "\n";
  if (recorded.left_out != 0) {
    made += text("%llu records are missing: the recorder had no room for them\n",
                 static_cast<unsigned long long>(recorded.left_out));
  }
  for (const SizeResult& size : study.sizes) made += table_of(recorded, study, size);
  return made;
}

Json report_json(const Recorded& recorded, const Choices& choices, const Study& study,
                 const Told& told) {
  Json made{{"trace", told.file},
            {"pid", recorded.header.pid},
            {"command", recorded.header.command},
            {"device", recorded.header.device},
            {"gpu", recorded.header.gpu},
            {"recorded_ns", recorded.happened.time.count()},
            {"uses", recorded.happened.uses},
            {"regions", recorded.workload.lives.size()},
            {"region_bytes", study.peak.value},
            {"chunk_size", recorded.workload.chunk_size.value},
            {"hbm_bytes_per_second", choices.rates.hbm},
            {"hbm_rate_from", told.hbm_rate_from},
            {"link_to_hbm_bytes_per_second", choices.rates.to_hbm},
            {"link_to_host_bytes_per_second", choices.rates.to_host},
            {"link_rate_from", told.link_rate_from},
            {"whole", !recorded.cut_off},
            {"left_out", recorded.left_out},
            {"sizes", Json::array()}};
  for (const SizeResult& size : study.sizes) {
    Json one{{"hbm_limit", size.limit.value},
             {"room_bytes", size.room.value},
             {"own", size.own},
             {"best_ns", size.best.count()},
             {"belady", json_of(size.least)},
             {"lru_on_demand", json_of(size.on_demand)},
             {"policies", Json::object()}};
    for (const PolicyResult& result : size.policies) {
      one["policies"][result.policy->name] = json_of(row_of(result), size);
    }
    if (!size.recorded_policy.empty()) {
      one["recorded"] = json_of(row_of(size.recorded_policy, recorded.happened), size);
      one["recorded"]["policy"] = size.recorded_policy;
    }
    made["sizes"].push_back(std::move(one));
  }
  return made;
}

}  // namespace vhbm::replay
