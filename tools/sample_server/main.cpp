// Reads the options and the trace, runs the server and prints its report.
#include <fstream>
#include <iostream>

#include "server.h"
#include "trace_synthesis.h"

namespace {

using namespace sample_server;

enum ExitCode { done = 0, out_of_memory = 2, cuda_failed = 3, usage = 64 };

std::vector<TraceRequest> requests_for(const Options& options) {
  if (!options.trace.empty()) return read_trace_file(options.trace, options.requests);
  SynthesisSettings settings;
  settings.seed = options.seed;
  if (options.requests > 0) settings.requests = options.requests;
  return synthesise_trace(settings);
}

void serve(const Options& options, std::span<const TraceRequest> requests) {
  // Opened first: a wrong path is better known before the run than after it.
  std::ofstream json;
  if (!options.json.empty()) {
    json.open(options.json);
    if (!json) throw TraceError("--json: " + options.json + " cannot be written");
  }
  const auto gpu = options.api == Api::driver ? make_driver_gpu() : load_runtime_gpu();
  const Report report(options, Server(*gpu, options, requests).run());
  report.print(std::cout);
  if (json.is_open()) json << report.json().dump(2) << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  const ParsedOptions parsed = parse_options(argc, argv);
  if (!parsed.run) return parsed.exit_code;
  try {
    serve(parsed.options, requests_for(parsed.options));
    return done;
  } catch (const TraceError& error) {
    std::cerr << "sample_server: " << error.what() << '\n';
    return usage;
  } catch (const GpuError& error) {
    std::cerr << "sample_server: " << error.what() << '\n';
    return error.kind() == GpuErrorKind::out_of_memory ? out_of_memory : cuda_failed;
  }
}
