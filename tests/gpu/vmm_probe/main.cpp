// vmm_probe: measures, on real hardware, how CUDA's virtual memory management behaves. The parent
// process never touches the driver: every sub-test has its own process and context.
// Exit codes: 0 all went well, 1 a sub-test failed, 2 wrong use, 77 no GPU to measure.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>

#include "child.h"
#include "machine.h"

namespace {

using namespace vmm_probe;

constexpr int kNoGpu = 77;

struct Arguments {
  bool list = false;
  std::vector<std::string> only;
  std::string json_file;
  std::string host_memory = "25%";
  Settings settings;
};

const SubTest* find(const std::string& name) {
  for (const SubTest& test : sub_tests())
    if (name == test.name) return &test;
  return nullptr;
}

// The file is whole at every moment: a machine that is lost in the middle leaves what was measured.
void write_json(const std::string& path, const Json& report) {
  const std::string text =
      report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  const std::string draft = path + ".part";
  {
    std::ofstream file(draft);
    file << text;
    if (!file.flush()) {
      std::cerr << "vmm_probe: cannot write " << draft << "\n";
      return;
    }
  }
  if (std::rename(draft.c_str(), path.c_str()) != 0)
    std::cerr << "vmm_probe: cannot write " << path << "\n";
}

Json as_json(const SubTest& test, const Outcome& outcome) {
  Json row = {{"name", test.name}, {"answers", test.answers}, {"status", outcome.status}};
  if (!outcome.reason.empty()) row["reason"] = outcome.reason;
  if (!outcome.headline.empty()) row["headline"] = outcome.headline;
  row["seconds"] = outcome.seconds;
  row["findings"] = outcome.findings;
  return row;
}

void print_table(std::FILE* out, const Json& report) {
  std::fprintf(out, "\n%-26s %-10s %7s  %s\n", "sub-test", "result", "seconds", "finding");
  for (const Json& row : report["sub_tests"]) {
    std::string finding = row.value("headline", "");
    if (row.contains("reason"))
      finding += (finding.empty() ? "" : "; ") + row["reason"].get<std::string>();
    std::fprintf(out, "%-26s %-10s %7.1f  %s\n", row["name"].get<std::string>().c_str(),
                 row["status"].get<std::string>().c_str(), row["seconds"].get<double>(),
                 finding.c_str());
  }
}

std::string command_line(int argc, char** argv) {
  std::string line;
  for (int i = 0; i < argc; ++i) line += (i ? " " : "") + std::string(argv[i]);
  return line;
}

int measure(const Arguments& arguments, const std::string& command) {
  std::vector<const SubTest*> chosen;
  for (const SubTest& test : sub_tests())
    if (arguments.only.empty()) chosen.push_back(&test);
  for (const std::string& name : arguments.only) {
    const SubTest* test = find(name);
    if (!test) {
      std::cerr << "vmm_probe: no sub-test is called '" << name << "'; --list names them\n";
      return 2;
    }
    chosen.push_back(test);
  }

  // What the machine is comes first, also when other sub-tests were asked for: it decides whether
  // there is anything to measure.
  const SubTest& first = *find("device");
  const Outcome device = run_in_child(first, arguments.settings);
  if (device.no_gpu) {
    std::cerr << "vmm_probe: nothing to measure: " << device.reason << "\n";
    return kNoGpu;
  }

  Json report = {{"program", "vmm_probe"},
                 {"schema", 1},
                 {"date", date_now()},
                 {"command_line", command},
                 {"machine", describe_machine()}};
  report["device"] = device.findings;
  const bool simulated = device.findings.value("simulated", false);
  report["simulated"] = simulated;
  report["seconds_per_test"] = arguments.settings.seconds_per_test;
  report["host_memory_limit_bytes"] = HostMemory(arguments.settings.host_memory).limit();
  report["sub_tests"] = Json::array();
  if (simulated)
    std::cerr << "vmm_probe: a simulated GPU answers: what follows says nothing about hardware\n";

  const bool json_on_stdout = arguments.json_file == "-";
  bool all_well = true;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const SubTest& test = *chosen[i];
    std::fprintf(stderr, "[%2zu/%zu] %-26s ", i + 1, chosen.size(), test.name);
    std::fflush(stderr);
    const Outcome outcome = &test == &first ? device : run_in_child(test, arguments.settings);
    std::fprintf(stderr, "%s in %.1f s%s%s\n", outcome.status.c_str(), outcome.seconds,
                 outcome.reason.empty() ? "" : ": ", outcome.reason.c_str());
    all_well = all_well && (outcome.status == "ok" || outcome.status == "skipped");
    report["sub_tests"].push_back(as_json(test, outcome));
    if (!arguments.json_file.empty() && !json_on_stdout) write_json(arguments.json_file, report);
  }
  // Read again after work: an idle link may have been slowed down before.
  report["pcie_link_after_work"] = pcie_link(device.findings.value("pci_address", ""));
  if (json_on_stdout) std::cout << report.dump(2) << "\n";
  if (!arguments.json_file.empty() && !json_on_stdout) write_json(arguments.json_file, report);
  print_table(json_on_stdout ? stderr : stdout, report);
  return all_well ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app(
      "Measures how CUDA virtual memory management behaves on this machine's GPU: frames in HBM "
      "and\n"
      "in host memory, remapping, reading and writing host-mapped memory, copies, capture.\n"
      "Each sub-test runs in a process of its own; one's failure does not stop the others.");
  app.footer(
      "Exit codes: 0 all went well, 1 a sub-test failed, 2 wrong use, 77 no GPU to measure.");
  app.add_flag("--list", arguments.list, "Name the sub-tests and what each answers, and stop");
  app.add_option("--only", arguments.only, "Run only these sub-tests")
      ->delimiter(',')
      ->type_name("NAME,...");
  app.add_option("--json", arguments.json_file, "Write the findings there; - for standard output")
      ->type_name("FILE");
  app.add_option("--seconds-per-test", arguments.settings.seconds_per_test,
                 "Stop a sub-test that takes longer")
      ->check(CLI::PositiveNumber)
      ->type_name("N")
      ->capture_default_str();
  app.add_option(
         "--host-memory", arguments.host_memory,
         "Page-locked host memory a sub-test may hold at once: a size (8GiB, 512MiB), or a\n"
         "share of what is available, the cgroup's limit counted in")
      ->type_name("SIZE")
      ->capture_default_str();
  app.add_option("--device", arguments.settings.device, "The GPU, as the driver counts them")
      ->check(CLI::NonNegativeNumber)
      ->type_name("N")
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  arguments.settings.host_memory = HostMemoryLimit::parse(arguments.host_memory);
  if (!arguments.settings.host_memory.error.empty()) {
    std::cerr << "vmm_probe: --host-memory: " << arguments.settings.host_memory.error << "\n";
    return 2;
  }
  if (arguments.list) {
    for (const SubTest& test : sub_tests()) std::printf("%-26s %s\n", test.name, test.answers);
    return 0;
  }
  return measure(arguments, command_line(argc, argv));
}
