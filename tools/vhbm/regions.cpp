// `vhbm regions`: what each allocation of a process under vHBM holds, why that is thought, and
// where it lives. Reads the shared tables; asks nothing of the processes themselves.
#include <sys/types.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "commands.h"
#include "exit_code.h"
#include "quantity.h"
#include "runtime/region_table.h"
#include "terminal.h"
#include "watched_processes.h"

namespace vhbm::cli {
namespace {

constexpr const char* examples = R"(Examples:
  vhbm regions                     every process, the largest regions first
  vhbm regions 4711 --sort tag     one process, by what its regions hold
  vhbm regions 4711 --json         for a program to read

WHERE shows how much of a region is in HBM (#); the rest is in host memory, read in place (.).
DENSITY: of a KV cache whose blocks are known (kv_layouts), the share of what is in HBM that is in use.
The table is what the process published last, at most a quarter of a second ago.

Exit code: 0, or 1 when there is no such process.)";

constexpr int cells = 10;

struct Order {
  const char* name;
  bool (*before)(const RegionRow& a, const RegionRow& b);
};
// The first is the default; equals stay in the order of their addresses.
constexpr Order orders[] = {
    {"size", [](const RegionRow& a, const RegionRow& b) { return a.size > b.size; }},
    {"tag", [](const RegionRow& a, const RegionRow& b) { return a.tag < b.tag; }},
    {"resident", [](const RegionRow& a, const RegionRow& b) { return a.resident > b.resident; }},
};

struct Request {
  std::optional<pid_t> process;  // all of them without one
  bool json = false;
  std::string sort = orders[0].name;
};

struct Total {
  std::uint64_t count = 0, size = 0, resident = 0, host_mapped = 0;
  void add(const RegionRow& row) {
    ++count;
    size += row.size;
    resident += row.resident;
    host_mapped += row.host_mapped;
  }
};

std::string json_of(const std::vector<RegionsSnapshot>& found, bool one) {
  auto all = nlohmann::ordered_json::array();
  for (const RegionsSnapshot& process : found) {
    nlohmann::ordered_json object;
    object["pid"] = process.pid;
    object["device"] = process.device;
    object["started_at"] = process.started_at;
    object["command"] = process.command;
    object["left_out"] = process.left_out;
    if (!process.advice.empty()) object["advice"] = process.advice;
    object["regions"] = nlohmann::ordered_json::array();
    for (const RegionRow& row : process.rows) {
      nlohmann::ordered_json region;
      region["id"] = row.id;
      region["base"] = row.base;
      region["size"] = row.size;
      region["tag"] = name_of(row.tag);
      region["confidence"] = row.confidence;
      region["reason"] = row.reason;
      region["resident_bytes"] = row.resident;
      region["host_mapped_bytes"] = row.host_mapped;
      region["held"] = row.held != 0;
      for (const auto& [key, value] :
           {std::pair{"kv_used_bytes", row.kv_used}, std::pair{"kv_touched_bytes", row.kv_touched},
            std::pair{"kv_resident_used_bytes", row.kv_resident_used}}) {
        if (value != RegionRow::unknown) region[key] = value;
      }
      if (row.idle_ns == RegionRow::never) {
        region["idle_ns"] = nullptr;
      } else {
        region["idle_ns"] = row.idle_ns;
      }
      object["regions"].push_back(std::move(region));
    }
    all.push_back(std::move(object));
  }
  // A command line may hold any bytes; what is not UTF-8 is replaced.
  return (one && all.size() == 1 ? all[0] : all)
      .dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string where(std::uint64_t resident, std::uint64_t host_mapped) {
  const std::uint64_t whole = resident + host_mapped;
  char text[64];
  std::snprintf(text, sizeof text, "%s %3u%%", bar(resident, whole, cells).c_str(),
                percent(resident, whole));
  return text;
}

std::string density(const RegionRow& row) {
  if (row.kv_used == RegionRow::unknown) return "-";
  return std::to_string(percent(row.kv_resident_used, row.resident)) + "%";
}

std::string total_line(const char* name, const Total& total) {
  char line[160];
  std::snprintf(line, sizeof line, "  %-12s %7llu %11s  %s  %s in HBM, %s in host memory\n", name,
                static_cast<unsigned long long>(total.count), bytes_text(total.size).c_str(),
                where(total.resident, total.host_mapped).c_str(),
                bytes_text(total.resident).c_str(), bytes_text(total.host_mapped).c_str());
  return line;
}

std::string text_of(const RegionsSnapshot& process) {
  std::string text = "process " + std::to_string(process.pid);
  if (process.device != 0) text += ", device " + std::to_string(process.device);
  text += "  " + printable(process.command) + "\n";
  char line[256];
  std::snprintf(line, sizeof line, "  %6s %16s %11s  %-9s %4s  %-17s %7s %12s  %s\n", "ID",
                "ADDRESS", "SIZE", "TAG", "SURE", "WHERE", "DENSITY", "UNUSED FOR", "WHY");
  text += painted(line, Colour::dim, stdout);
  Total all;
  std::array<Total, tag_names.size()> by_tag;
  for (const RegionRow& row : process.rows) {
    all.add(row);
    by_tag[static_cast<std::size_t>(row.tag)].add(row);
    const std::string sure = std::to_string(row.confidence) + "%";
    std::snprintf(
        line, sizeof line, "  %6llu %16llx %11s  %-9s %4s  %s %7s %12s  ",
        static_cast<unsigned long long>(row.id), static_cast<unsigned long long>(row.base),
        bytes_text(row.size).c_str(), name_of(row.tag), sure.c_str(),
        where(row.resident, row.host_mapped).c_str(), density(row).c_str(),
        row.idle_ns == RegionRow::never ? "never used" : duration_text(row.idle_ns).c_str());
    text += line + std::string(row.held != 0 ? "held; " : "") + printable(row.reason) + "\n";
  }
  text += "\n";
  for (std::size_t tag = 0; tag < by_tag.size(); ++tag) {
    if (by_tag[tag].count != 0 && by_tag[tag].count != all.count) {
      text += total_line(tag_names[tag], by_tag[tag]);
    }
  }
  text += total_line("all regions", all);
  if (process.left_out != 0) {
    text += "  and " + std::to_string(process.left_out) + " smaller ones that are not listed\n";
  }
  return text;
}

int regions(const Request& request) {
  const auto directory = shared_directory(request.process);
  if (!directory) return exit_usage;
  std::vector<std::string> unreadable;
  std::vector<RegionsSnapshot> found = read_live_regions(*directory, &unreadable);
  tell_unreadable(unreadable);
  if (request.process) {
    std::erase_if(found, [&](const RegionsSnapshot& one) { return one.pid != *request.process; });
  }
  const Order* order = std::find_if(std::begin(orders), std::end(orders),
                                    [&](const Order& one) { return one.name == request.sort; });
  for (RegionsSnapshot& process : found) {
    std::sort(process.rows.begin(), process.rows.end(),
              [](const RegionRow& a, const RegionRow& b) { return a.base < b.base; });
    std::stable_sort(process.rows.begin(), process.rows.end(), order->before);
  }
  if (request.json && (!found.empty() || !request.process)) {
    std::printf("%s\n", json_of(found, request.process.has_value()).c_str());
  } else {
    for (std::size_t i = 0; i < found.size(); ++i) {
      std::fputs(((i == 0 ? "" : "\n") + text_of(found[i])).c_str(), stdout);
    }
  }
  return found.empty() ? tell_no_process(request.process, *directory) : exit_ok;
}

}  // namespace

void add_regions_command(CLI::App& app, int& exit_code) {
  const auto request = std::make_shared<Request>();
  CLI::App* command =
      app.add_subcommand("regions", "List the regions of processes, and where they live");
  command->add_option("pid", request->process, "only this process");
  command->add_flag("--json", request->json, "print JSON");
  std::vector<std::string> names;
  for (const Order& order : orders) names.emplace_back(order.name);
  command->add_option("--sort", request->sort, "largest first, by tag, or most in HBM first")
      ->check(CLI::IsMember(names));
  command->footer(examples);
  command->callback([request, &exit_code] { exit_code = regions(*request); });
}

}  // namespace vhbm::cli
