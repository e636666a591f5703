// Writes a request trace in Mooncake's format, for machines that have no recorded one.
#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>

#include "trace_synthesis.h"

int main(int argc, char** argv) {
  using namespace sample_server;
  SynthesisSettings settings;
  std::string path;
  CLI::App app{
      "Writes a request trace in Mooncake's JSON-lines format: chat sessions of several turns that "
      "share prefixes.",
      "trace_generator"};
  app.option_defaults()->always_capture_default();
  app.add_option("--requests", settings.requests, "How many")->check(CLI::Range(1, 10'000'000));
  app.add_option("--seed", settings.seed, "Another seed, another trace");
  app.add_option("--rate", settings.requests_per_second, "Requests a second")
      ->check(CLI::Range(0.001, 1e6));
  app.add_option("--turns", settings.mean_turns, "Turns of a session, on average")
      ->check(CLI::Range(1.0, 1000.0));
  app.add_option("--system-prompt", settings.system_prompt,
                 "Tokens that all sessions start with, in whole blocks of 512")
      ->check(CLI::Range(0, 100'000));
  app.add_option("--input-median", settings.median_new_input, "Tokens that a turn adds, median")
      ->check(CLI::Range(1, 100'000));
  app.add_option("--output-median", settings.median_output, "Tokens of an answer, median")
      ->check(CLI::Range(1, 100'000));
  app.add_option("--spread", settings.spread,
                 "Sigma of the lognormal input lengths; outputs have half of it")
      ->check(CLI::Range(0.0, 3.0));
  app.add_option("--longest", settings.longest_context, "Tokens of input at most")
      ->check(CLI::Range(1024, 16'000'000));
  app.add_option("--out", path, "File to write; standard output if not given")->type_name("FILE");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 64;
  }

  const auto requests = synthesise_trace(settings);
  if (path.empty()) {
    write_trace(std::cout, requests);
    return std::cout.flush() ? 0 : 1;
  }
  std::ofstream out(path);
  write_trace(out, requests);
  if (!out.flush()) {
    std::cerr << "trace_generator: " << path << " cannot be written\n";
    return 1;
  }
  return 0;
}
