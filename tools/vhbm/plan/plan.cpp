// `vhbm plan`: is it worth it? Computes from a model's shape and a GPU's figures; starts nothing.
#include "../commands.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>

#include "../doctor.h"
#include "../exit_code.h"
#include "../terminal.h"
#include "gpu_table.h"
#include "model_families.h"
#include "planner.h"
#include "report.h"
#include "request.h"
#include "runtime/host_memory.h"
#include "verdict.h"

namespace vhbm::cli {
namespace {

constexpr const char* examples = R"(Examples:
  vhbm plan --model ./Llama-3.1-8B --sessions 64 --active 8 --context 32768
                                   for the GPU that is here: what fits, what moving costs
  vhbm plan --model config.json --gpu h100 --host 200GiB --sessions 256 --active 16
                                   for another machine; no GPU is needed
  vhbm plan --gpu h200 --model ./Qwen3-32B --model ./gemma-3-27b-it --sessions 32 --sessions 8
                                   two models on one GPU, by turns (--at-once: both active)
  vhbm plan --gpu l4 --layers 32 --kv-heads 8 --head-size 128 --parameters 8.03B --kv-bits 8
                                   a model by its figures
  vhbm plan --list                 GPUs, with sources, and model families that are known

in use: weights, and the chunks that hold a block of an active session, at most. wake: what is in
use, over nine tenths of the link. docs/plan.md has the formulas.

Exit code: 0 when it fits or vHBM is worth it, 1 when the verdict is don't, 64 when the command line
or a model's file is not accepted (stderr says why).)";

std::optional<plan::GpuSeen> see_gpu() {
  const DriverFound driver = find_driver(std::chrono::seconds(10));
  if (driver.gpus.empty()) return std::nullopt;
  return plan::GpuSeen{driver.gpus.front().name, static_cast<double>(driver.gpus.front().memory)};
}

struct Command {
  plan::Request request;
  bool json = false;
  bool list = false;
};

int run(const Command& command) {
  if (command.list) {
    std::fputs((command.json ? plan::known_json() : plan::known_text()).c_str(), stdout);
    return exit_ok;
  }
  const plan::Request& request = command.request;
  // The driver is asked only where its answer counts.
  const bool asked = request.gpu.empty() && request.hbm.empty();
  const auto read = plan::read_workload(request, asked ? see_gpu() : std::nullopt,
                                        static_cast<double>(available_host_memory().value));
  for (const std::string& refusal : read.refusals) {
    std::fprintf(stderr, "%s\n", painted("vhbm: " + refusal, Colour::red, stderr).c_str());
  }
  if (!read.refusals.empty()) return exit_usage;
  const plan::Plan plan = plan::make_plan(read.workload);
  const plan::Verdict verdict = plan::judge(read.workload);
  const std::string text =
      command.json ? plan::plan_json(read, plan, verdict) : plan::plan_text(read, plan, verdict);
  std::fputs(text.c_str(), stdout);
  return verdict.answer == plan::Answer::no ? exit_not_worth_it : exit_ok;
}

// As a type in the help, from where shells complete it.
std::string one_of(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "NAME:{" : ",") + word;
  return text + "}";
}

// Checked, without the range in the help.
template <typename Number>
CLI::Validator within(Number least, Number most) {
  return CLI::Range(least, most).description("");
}

void add_model_options(CLI::App& command, plan::Request& request) {
  command
      .add_option("--model", request.models,
                  "a folder with config.json, or such a file; again for each model")
      ->type_name("PATH")
      ->allow_extra_args(false);
  command.add_option("--family", request.family, "read config.json as of this model_type")
      ->type_name(one_of(plan::known_families()));
  const auto positive = within<std::uint64_t>(1, 1'000'000);
  command.add_option("--layers", request.layers, "of a model without a file")->check(positive);
  command.add_option("--kv-heads", request.kv_heads, "key and value heads, likewise")
      ->check(positive);
  command.add_option("--head-size", request.head_size, "elements of one, likewise")
      ->check(positive);
  command.add_option("--query-heads", request.query_heads, "query heads, likewise (as --kv-heads)")
      ->check(positive);
  command
      .add_option("--latent-size", request.latent_size,
                  "MLA: elements a token and layer, kv_lora_rank + qk_rope_head_dim, likewise")
      ->check(positive);
  command
      .add_option("--window-layers", request.window_layers,
                  "of its layers, so many keep a window of tokens only")
      ->check(positive);
  command.add_option("--window", request.window, "tokens of that window")->check(positive);
  command
      .add_option("--state-layers", request.state_layers,
                  "of its layers, so many keep a state of one size (Mamba, linear attention)")
      ->check(positive);
  command.add_option("--state", request.state, "of a session in such a layer, such as 2MiB")
      ->type_name("SIZE");
  command.add_option("--parameters", request.parameters, "such as 8.03B")->allow_extra_args(false);
  command
      .add_option("--active-parameters", request.active_parameters,
                  "that one token meets, such as 37B (all)")
      ->allow_extra_args(false);
  command.add_option("--weights", request.weights, "what the weights take, such as 15GiB")
      ->type_name("SIZE")
      ->allow_extra_args(false);
}

void add_load_options(CLI::App& command, plan::Request& request) {
  const auto tokens = within<std::uint64_t>(1, 100'000'000);
  const auto sessions = within<std::uint64_t>(1, 1'000'000);
  command.add_option("--context", request.context, "tokens of a session (8192)")
      ->check(tokens)
      ->allow_extra_args(false);
  command.add_option("--sessions", request.sessions, "whose KV is kept (1)")
      ->check(sessions)
      ->allow_extra_args(false);
  command.add_option("--active", request.active, "that decode at the same time (all)")
      ->check(sessions)
      ->allow_extra_args(false);
  command.add_option("--kv-bits", request.kv_bits, "of an element of KV (16)")
      ->check(CLI::IsMember({4, 8, 16, 32}));
  command
      .add_option("--block-tokens", request.block_tokens,
                  "tokens of a KV block (16); 0: a session's KV lies in one piece")
      ->check(within<std::uint64_t>(0, 65536));
  command.add_flag("--layers-together", request.layers_together,
                   "all layers of a KV block lie side by side");
  command.add_flag("--at-once", request.at_once, "all models are active at once, not by turns");
}

void add_machine_options(CLI::App& command, plan::Request& request) {
  std::vector<std::string> gpus;
  for (const plan::GpuKnown& gpu : plan::known_gpus()) gpus.emplace_back(gpu.name);
  command.add_option("--gpu", request.gpu, "a GPU of the table (the one that is here)")
      ->type_name(one_of(gpus));
  command.add_option("--gpus", request.gpus, "so many, tensor parallel (1)")
      ->check(within(1U, 1024U));
  command.add_option("--hbm", request.hbm, "of one GPU, such as 80GiB")->type_name("SIZE");
  command.add_option("--hbm-share", request.hbm_percent, "of it for weights and KV (90)")
      ->type_name("PERCENT")
      ->check(within(1.0, 100.0));
  command.add_option("--hbm-rate", request.hbm_rate, "HBM's rate in GB/s")->check(within(1.0, 1e6));
  command.add_option("--link", request.link, "GB/s that pinned copies reach, one way")
      ->check(within(0.1, 1e6));
  command.add_option("--tflops", request.tflops, "dense TFLOP/s")->check(within(0.1, 1e7));
  command.add_option("--flops-share", request.flops_percent, "of them that prompts reach (40)")
      ->type_name("PERCENT")
      ->check(within(1.0, 100.0));
  command.add_option("--host", request.host, "host memory for vHBM (half of what is available)")
      ->type_name("SIZE");
}

}  // namespace

void add_plan_command(CLI::App& app, int& exit_code) {
  const auto command = std::make_shared<Command>();
  CLI::App* plan = app.add_subcommand("plan", "Is vHBM worth it for a model and a GPU?");
  add_model_options(*plan, command->request);
  add_load_options(*plan, command->request);
  add_machine_options(*plan, command->request);
  plan->add_flag("--list", command->list, "show the GPUs and model families that are known");
  plan->add_flag("--json", command->json, "print JSON");
  plan->footer(examples);
  plan->callback([command, &exit_code] { exit_code = run(*command); });
}

}  // namespace vhbm::cli
