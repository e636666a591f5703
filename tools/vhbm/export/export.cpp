// `vhbm export`: the statistics for Prometheus, over HTTP or once as text. What is served is read
// when it is asked for, so processes that have ended are gone from the next answer.
#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "commands.h"
#include "exit_code.h"
#include "export/metrics.h"
#include "watched_processes.h"

namespace vhbm::cli {
namespace {

constexpr const char* default_address = "127.0.0.1:9842";
constexpr const char* examples = R"(Examples:
  vhbm export                              serve http://127.0.0.1:9842/metrics until it is ended
  vhbm export --listen 0.0.0.0:9842        to other machines too: there is no authentication
  vhbm export --once >/var/lib/node_exporter/vhbm.prom    for node_exporter's textfile collector
  vhbm export --names                      what metrics there are, as a table

It serves every process of this user under vHBM. docs/metrics.md documents the names, and
config/grafana.json shows them. The server adds metrics of its own, exposer_*.

Exit code: 0; 64 when the command line is not accepted; 70 when the address cannot be served.)";

struct Request {
  std::string address = default_address;
  bool once = false, names = false, json = false;
};

class LiveStats : public prometheus::Collectable {
 public:
  explicit LiveStats(std::string directory) : directory_(std::move(directory)) {}
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override {
    return metric_families(read_live_stats(directory_));
  }

 private:
  const std::string directory_;
};

std::string names_json() {
  auto list = nlohmann::ordered_json::array();
  for (const Metric& metric : metrics()) {
    nlohmann::ordered_json one;
    one["name"] = metric.name;
    one["type"] = metric.type;
    one["unit"] = metric.unit;
    one["text"] = metric.text;
    list.push_back(std::move(one));
  }
  return list.dump() + "\n";
}

int serve(const std::string& address, const std::string& directory) {
  // Before the server's threads begin, so that none of them takes these.
  sigset_t ends;
  sigemptyset(&ends);
  for (int one : {SIGINT, SIGTERM}) sigaddset(&ends, one);
  sigprocmask(SIG_BLOCK, &ends, nullptr);
  const auto stats = std::make_shared<LiveStats>(directory);
  try {
    prometheus::Exposer exposer(address);
    exposer.RegisterCollectable(stats);
    const auto ports = exposer.GetListeningPorts();
    const std::string host = address.substr(0, address.rfind(':'));
    std::printf("serving http://%s:%d/metrics\n", host.c_str(), ports.empty() ? 0 : ports.front());
    std::fflush(stdout);
    int taken = 0;
    sigwait(&ends, &taken);
    // Its threads take seconds to end by themselves, and hold nothing that outlives the process.
    _exit(exit_ok);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "vhbm: cannot serve %s: %s\n", address.c_str(), error.what());
    return exit_failed;
  }
}

// Of the form ADDRESS:PORT; the port 0 takes one that is free.
std::string wrong_address(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  const std::string port = colon == std::string::npos ? "" : address.substr(colon + 1);
  const bool number = !port.empty() && port.size() <= 5 &&
                      port.find_first_not_of("0123456789") == std::string::npos;
  if (colon != 0 && number && std::stoi(port) <= 65535) return "";
  return "'" + address + "' is not accepted: give ADDRESS:PORT, such as " + default_address;
}

int export_metrics(const Request& request) {
  if (request.names) {
    std::fputs((request.json ? names_json() : metrics_table()).c_str(), stdout);
    return exit_ok;
  }
  const auto directory = shared_directory(std::nullopt);
  if (!directory) return exit_usage;
  if (!request.once) return serve(request.address, *directory);
  std::fputs(metrics_text(read_live_stats(*directory)).c_str(), stdout);
  return exit_ok;
}

}  // namespace

void add_export_command(CLI::App& app, int& exit_code) {
  const auto request = std::make_shared<Request>();
  CLI::App* command = app.add_subcommand("export", "Serve the statistics to Prometheus");
  CLI::Option* listen =
      command
          ->add_option("--listen", request->address, "where to serve, 127.0.0.1:9842 if not given")
          ->type_name("ADDRESS:PORT")
          ->check(CLI::Validator(wrong_address, ""));
  CLI::Option* once = command->add_flag("--once", request->once, "print the metrics once instead")
                          ->excludes(listen);
  CLI::Option* names = command->add_flag("--names", request->names, "print what metrics there are")
                           ->excludes(listen)
                           ->excludes(once);
  command->add_flag("--json", request->json, "with --names: print JSON")->needs(names);
  command->footer(examples);
  command->callback([request, &exit_code] { exit_code = export_metrics(*request); });
}

}  // namespace vhbm::cli
