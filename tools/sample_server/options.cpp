#include "options.h"

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace sample_server {
namespace {

constexpr const char* description =
    "A small inference server. It replays a request trace through a decoder transformer with "
    "paged\n"
    "attention, keeps KV blocks as vLLM does (or slots as llama.cpp does), and prints how it went "
    "and\n"
    "a digest over every value it put out: the same for every way of scheduling, capturing and "
    "paging.";

constexpr const char* footer =
    "As it stands, the server allocates about 200 MiB of GPU memory: 68 MiB of weights, 128 MiB of "
    "KV.\n"
    "  weights   --experts: 256 KiB each over 4 layers. A token uses one of a layer, so they cost\n"
    "            memory and hardly any arithmetic.\n"
    "  KV        --kv-tokens: 2 KiB each, or --gpu-memory-utilization.\n"
    "Exit codes: 0 done, 2 out of memory, 3 another CUDA error, 64 the command line or trace "
    "is wrong.";

// A multiple of `step` from `least` to `most`.
CLI::Validator multiple_of(std::size_t step, std::size_t least, std::size_t most) {
  const std::string accepted = "a multiple of " + std::to_string(step) + " from " +
                               std::to_string(least) + " to " + std::to_string(most);
  return CLI::Validator(
      [=](const std::string& text) -> std::string {
        std::size_t value = 0;
        if (CLI::detail::lexical_cast(text, value) && value >= least && value <= most &&
            value % step == 0) {
          return {};
        }
        return "'" + text + "' is not accepted: give " + accepted;
      },
      "");
}

// An option that takes one of `choices`; its value so far is the default.
template <typename T, std::size_t count>
void add_choice(CLI::App& app, const char* option, T& value, const Choices<T, count>& choices,
                const char* help) {
  std::vector<std::string> words;
  for (const auto& [word, meaning] : choices) words.emplace_back(word);
  const auto choose = [&](const std::string& text) {
    for (const auto& [word, meaning] : choices) {
      if (text == word) value = meaning;
    }
  };
  app.add_option_function<std::string>(option, choose, help)
      ->check(CLI::IsMember(words))
      ->type_name("WORD")
      ->default_str(word_for(choices, value));
}

void add_request_options(CLI::App& app, Options& options) {
  app.add_option("--trace", options.trace,
                 "Trace in Mooncake's JSON-lines format; without one, requests are made up")
      ->type_name("FILE");
  app.add_option("--requests", options.requests, "Requests to take from the trace; 0: all");
  app.add_option("--scale-tokens", options.scale_tokens, "Divide the trace's token counts by this")
      ->check(CLI::IsMember({1, 2, 4, 8, 16, 32, 64, 128, 256, 512}));
  app.add_option("--replay-speed", options.replay_speed,
                 "1: requests arrive when the trace says; 2: twice as fast; 0: as soon as one of "
                 "--max-running is done")
      ->check(CLI::Range(0.0, 1e6));
  app.add_option("--max-running", options.max_running, "Requests that run at once")
      ->check(CLI::Range(1, 1024));
  app.add_option("--max-step-tokens", options.step_tokens,
                 "Tokens computed in one step; longer prompts are cut into chunks")
      ->check(CLI::Range(1, 65'536));
  app.add_option("--seed", options.seed, "For the weights, and requests that are made up");
}

void add_model_options(CLI::App& app, ModelShape& model) {
  app.add_option("--layers", model.layers, "Layers")->check(CLI::Range(1, 256));
  app.add_option("--heads", model.heads, "Attention heads; times head size: a multiple of 32")
      ->check(CLI::Range(1, 128));
  app.add_option("--head-size", model.head_size, "Dimensions of a head")
      ->check(CLI::IsMember({16, 32, 64}));
  app.add_option("--experts", model.experts, "Experts of a layer, of which a token uses one")
      ->check(CLI::Range(1, 65'536));
  app.add_option("--expert-size", model.expert_size, "Inner dimension of an expert")
      ->check(multiple_of(32, 32, 16'384));
  app.add_option("--vocabulary", model.vocabulary, "Tokens there are")
      ->check(multiple_of(32, 32, 262'144));
}

void add_kv_options(CLI::App& app, Options& options) {
  add_choice(app, "--kv-layout", options.kv_layout, kv_layouts,
             "A KV tensor for each layer, or one with all layers of a block together");
  app.add_option("--block-tokens", options.block_tokens, "Tokens of a KV block")
      ->check(multiple_of(16, 16, 4096));
  app.add_flag("--contiguous", options.contiguous,
               "Give each running request one contiguous slot of KV, as llama.cpp does");
  app.add_option("--kv-log", options.kv_log,
                 "Write the KV blocks that each step uses to this file, a line a step")
      ->type_name("FILE");
  CLI::Option* tokens =
      app.add_option("--kv-tokens", options.kv_tokens, "Tokens that the KV cache holds")
          ->check(CLI::Range(16, 1 << 30));
  app.add_option(
         "--gpu-memory-utilization", options.gpu_memory_utilization,
         "Instead: fill this share of the GPU's memory with KV, by what the GPU says is free")
      ->check(CLI::Range(0.01, 1.0))
      ->excludes(tokens)
      ->default_str("");
}

}  // namespace

ParsedOptions parse_options(int argc, char** argv) {
  ParsedOptions parsed;
  Options& options = parsed.options;
  CLI::App app{description, "sample_server"};
  app.footer(footer);
  app.option_defaults()->always_capture_default();
  add_choice(app, "--api", options.api, apis, "CUDA API to use");
  add_choice(app, "--graphs", options.graphs, graph_modes,
             "Launch kernels one by one, or a CUDA graph a layer or a step");
  add_request_options(app, options);
  add_model_options(app, options.model);
  add_kv_options(app, options);
  app.add_option("--json", options.json, "Also write the report to this file, as JSON")
      ->type_name("FILE");
  try {
    app.parse(argc, argv);
    if (options.model.hidden() % 32 != 0) {
      throw CLI::ValidationError("--heads", "times --head-size is " +
                                                std::to_string(options.model.hidden()) +
                                                ": accepted is a multiple of 32");
    }
    if (options.step_tokens < options.max_running) {
      throw CLI::ValidationError("--max-step-tokens",
                                 "is less than --max-running: a step computes "
                                 "at least a token for each running request");
    }
    parsed.run = true;
  } catch (const CLI::ParseError& error) {
    parsed.exit_code = app.exit(error) == 0 ? 0 : 64;
  }
  return parsed;
}

}  // namespace sample_server
