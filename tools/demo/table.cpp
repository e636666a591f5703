// The demo's last step: reads what its runs wrote and prints one table and a verdict. Exit code 0
// when the demo showed what it promises, 1 when not.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace {

using Json = nlohmann::json;

struct Inputs {
  std::string native, quarter, vhbm;       // reports of the server
  std::string vhbm_statistics;             // of `vhbm run --summary`
  std::string native_device, vhbm_device;  // of the simulated GPU; none on a real one
  int native_exit = 0, quarter_exit = 0, vhbm_exit = 0;
  std::uint64_t limit = 0;
};

Json read(const std::string& path) {
  std::ifstream file(path);
  return file ? Json::parse(file, nullptr, false) : Json();
}

std::string mebibytes(double bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MiB", bytes / (1 << 20));
  return text;
}

std::string number(double value, const char* pattern) {
  char text[32];
  std::snprintf(text, sizeof text, pattern, value);
  return text;
}

// A value of a report by its path, or 0 where the report has none.
double value(const Json& json, const char* path) {
  const Json::json_pointer pointer(path);
  return json.is_object() && json.contains(pointer) && json[pointer].is_number()
             ? json[pointer].get<double>()
             : 0;
}

std::string digest(const Json& report) {
  return report.is_object() ? report.value("digest", std::string()) : std::string();
}

using Row = std::vector<std::string>;

Row server_row(const std::string& name, const std::string& memory, int exit_code,
               const Json& report, const std::string& reference) {
  const bool done = exit_code == 0 && !digest(report).empty();
  std::string result = "exit code " + std::to_string(exit_code);
  if (exit_code == 2) result = "out of memory";
  if (done) result = "done";
  std::string compared = done ? digest(report).substr(0, 12) : "-";
  if (done && !reference.empty()) compared += digest(report) == reference ? " equal" : " DIFFERS";
  return {name,
          memory,
          result,
          compared,
          done ? number(value(report, "/tokens_per_second/output"), "%.0f") : "-",
          done ? mebibytes(value(report, "/allocated_bytes/peak")) : "-"};
}

void print(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < widths.size(); ++i) {
      const std::string cell = i < row.size() ? row[i] : "-";
      std::printf(i == 0 ? "%-*s" : "  %*s", static_cast<int>(widths[i]), cell.c_str());
    }
    std::printf("\n");
  }
}

// What the copies taken ahead saved, and how long the server was held up at a time.
void print_moves(const Json& counters) {
  const auto bytes = [&](const char* name) { return mebibytes(value(counters, name)); };
  const auto time = [&](const char* name) {
    return number(value(counters, name) / 1e6, "%.2f ms");
  };
  std::printf(
      "Of what left HBM, %s had a host copy that still held: nothing was copied while the server\n"
      "waited. Copied ahead: %s; changed since, and copied again: %s. A stall took\n"
      "%s (p50), %s (p99), %s at most.\n\n",
      bytes("/clean_evicted_bytes").c_str(), bytes("/precopied_bytes").c_str(),
      bytes("/recopied_bytes").c_str(), time("/stall_p50_ns").c_str(),
      time("/stall_p99_ns").c_str(), time("/stall_max_ns").c_str());
}

int report(const Inputs& inputs) {
  const Json native = read(inputs.native), quarter = read(inputs.quarter), vhbm = read(inputs.vhbm);
  const Json statistics = read(inputs.vhbm_statistics);
  const Json& counters =
      statistics.is_object() && statistics.contains("stats") ? statistics["stats"] : statistics;
  const Json native_device = read(inputs.native_device), vhbm_device = read(inputs.vhbm_device);
  const bool simulated = vhbm_device.is_object();
  const std::string limit = mebibytes(static_cast<double>(inputs.limit));
  const double peak =
      simulated ? value(vhbm_device, "/peak_hbm_bytes") : value(counters, "/peak_hbm_bytes");

  Row native_row = server_row("native", "all", inputs.native_exit, native, "");
  native_row.push_back(simulated ? mebibytes(value(native_device, "/peak_hbm_bytes")) : "-");
  Row quarter_row = inputs.quarter_exit < 0
                        ? Row{"native", limit, "not run"}
                        : server_row("native", limit, inputs.quarter_exit, quarter, "");
  Row vhbm_row = server_row("under vHBM", limit, inputs.vhbm_exit, vhbm, digest(native));
  for (const std::string& cell :
       {mebibytes(peak), mebibytes(value(counters, "/promoted_bytes")),
        mebibytes(value(counters, "/evicted_bytes")), number(value(counters, "/flips"), "%.0f"),
        number(value(counters, "/stall_ns") / 1e6, "%.1f ms"),
        mebibytes(value(counters, "/named_in_place_bytes"))}) {
    vhbm_row.push_back(cell);
  }
  print({{"run", "HBM", "result", "digest", "tokens/s", "allocated", "peak HBM", "to HBM",
          "to host", "flips", "stall", "in place <="},
         native_row,
         quarter_row,
         vhbm_row});
  std::printf("\n");
  if (value(counters, "/flips") > 0) print_moves(counters);

  std::vector<std::string> broken;
  if (digest(native).empty()) broken.push_back("the native run with all the memory did not finish");
  if (inputs.quarter_exit >= 0 && inputs.quarter_exit != 2) {
    broken.push_back("the native run with a quarter did not end with out of memory");
  }
  if (digest(vhbm).empty()) broken.push_back("the run under vHBM did not finish");
  if (!digest(vhbm).empty() && digest(vhbm) != digest(native))
    broken.push_back("the digests differ");
  if (peak > static_cast<double>(inputs.limit)) broken.push_back("HBM use passed the limit");
  if (value(counters, "/flips") == 0) broken.push_back("vHBM moved nothing");
  for (const std::string& what : broken) std::printf("NOT AS PROMISED: %s\n", what.c_str());
  if (broken.empty()) {
    std::printf(
        "The same program, unmodified, in a quarter of the memory: every output value equal.\n");
  }
  return broken.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Inputs inputs;
  CLI::App app("Prints the demo's table from what its runs wrote");
  app.add_option("--native", inputs.native)->required();
  app.add_option("--native-exit", inputs.native_exit)->required();
  app.add_option("--native-device", inputs.native_device);
  app.add_option("--quarter", inputs.quarter)->required();
  app.add_option("--quarter-exit", inputs.quarter_exit, "-1: it was not run")->required();
  app.add_option("--vhbm", inputs.vhbm)->required();
  app.add_option("--vhbm-exit", inputs.vhbm_exit)->required();
  app.add_option("--vhbm-statistics", inputs.vhbm_statistics)->required();
  app.add_option("--vhbm-device", inputs.vhbm_device);
  app.add_option("--limit", inputs.limit, "bytes of HBM that vHBM may use")->required();
  CLI11_PARSE(app, argc, argv);
  return report(inputs);
}
