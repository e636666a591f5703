// `vhbm replay`: plays a recording under other policies and sizes of HBM, beside Belady's bound.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "commands.h"
#include "exit_code.h"
#include "option_names.h"
#include "plan/gpu_table.h"
#include "policies/policy.h"
#include "replay/page.h"
#include "replay/recorded.h"
#include "replay/report.h"
#include "replay/study.h"
#include "replay/timeline.h"
#include "runtime/option_forms.h"
#include "runtime/option_table.h"
#include "runtime/words.h"

namespace vhbm::cli {
namespace {

constexpr const char* examples = R"(Examples:
  vhbm replay server.vhbm                         every policy, under the limit it was recorded with
  vhbm replay server.vhbm --hbm 50%,75%,100%      with HBM for half, three quarters, all of its regions
  vhbm replay server.vhbm --policy next_use,lru --hbm 40GiB --set stall_limit=20%
  vhbm replay server.vhbm --html server.html      curves over sizes of HBM, and a timeline, in one page
  vhbm replay server.vhbm --timeline server.json  what happened, for https://ui.perfetto.dev

A policy is played by a model; docs/replay.md says what that leaves out. Belady's bound is what has
to cross the link however well the future is known. MISSES are chunks that crossed the link: read in
place, or moved in. "x BEST" is the time against the slower of HBM with all in it, and the link with
Belady's bytes.

Exit code: 0; 1 when the trace, or a file to be written, is not accepted; 64 when the command line
is not.)";

// GB/s that a machine is taken to have where neither the trace nor the table of GPUs says it.
constexpr double some_link = 25, some_hbm = 2000;
// Sizes of HBM that curves are drawn over, in percent of what the regions take.
constexpr unsigned curve_percents[] = {25, 40, 50, 60, 70, 80, 90, 100, 110};

struct Request {
  std::string trace;
  std::vector<std::string> policies, sizes, settings;
  std::optional<double> link, hbm_rate;  // GB/s
  bool json = false;
  std::string html, timeline;
};

int refuse(const std::string& why) {
  std::fprintf(stderr, "vhbm: %s\n", why.c_str());
  return exit_usage;
}

// Why the command line is not accepted; empty when it is.
std::string choose_policies(const Request& request, replay::Choices& choices) {
  for (const std::string& name : request.policies) {
    const Policy* const policy = find_policy(name);
    if (policy == nullptr) {
      return "--policy " + name + "; accepted: " + joined_with_or(policy_names());
    }
    choices.policies.push_back(policy);
  }
  if (!choices.policies.empty()) return {};
  for (const Policy& policy : policies()) choices.policies.push_back(&policy);
  return {};
}

std::string choose_sizes(const Request& request, const replay::Recorded& recorded,
                         replay::Choices& choices) {
  const Bytes peak = recorded.workload.peak(), native = recorded.workload.first.native;
  for (const std::string& text : request.sizes) {
    const auto size = parse_size(text);
    if (!size || size->is_automatic()) {
      return "--hbm " + text +
             "; accepted: a size such as 40GiB, or a share of what the regions take such as 75%";
    }
    // A share is of the regions, beside which there is what is native.
    Bytes limit = size->resolve(peak, {});
    if (size->is_share()) limit = limit.rounded_up_to(recorded.workload.chunk_size) + native;
    choices.limits.push_back(limit);
  }
  if (!request.html.empty() && request.sizes.empty()) {
    for (const unsigned percent : curve_percents) {
      const Bytes share = Size::percent(percent).resolve(peak, {});
      choices.limits.push_back(share.rounded_up_to(recorded.workload.chunk_size) + native);
    }
    choices.limits.push_back(recorded.workload.first.hbm_limit);
  }
  return {};
}

std::string choose_options(const Request& request, replay::Choices& choices) {
  for (const std::string& setting : request.settings) {
    const std::size_t equals = setting.find('=');
    const std::string name = setting.substr(0, equals);
    const std::size_t which = find_option(name);
    if (equals == std::string::npos || which == option_count) {
      return "--set " + setting + "; accepted: name=value, with a name of `vhbm config options`";
    }
    const auto accepted = set_option(option_rows()[which], setting.substr(equals + 1),
                                     known_words(), choices.options);
    if (accepted) return "--set " + setting + "; accepted: " + *accepted;
    choices.options_changed = true;
  }
  return {};
}

void choose_rates(const Request& request, const replay::Recorded& recorded,
                  replay::Choices& choices, replay::Told& told) {
  const plan::GpuKnown* const known = plan::gpu_of_device(recorded.header.gpu);
  choices.rates.hbm = 1e9 * (request.hbm_rate ? *request.hbm_rate
                             : known          ? known->bandwidth_gbps
                                              : some_hbm);
  told.hbm_rate_from = request.hbm_rate ? "--hbm-rate"
                       : known          ? std::string("as sold: ") + known->name
                                        : "assumed: say --hbm-rate";
  const auto in = static_cast<double>(recorded.link_to_hbm);
  const auto out = static_cast<double>(recorded.link_to_host);
  if (request.link) {
    choices.rates.to_hbm = choices.rates.to_host = 1e9 * *request.link;
    told.link_rate_from = "--link";
  } else if (in > 0 || out > 0) {
    choices.rates.to_hbm = in > 0 ? in : out;
    choices.rates.to_host = out > 0 ? out : in;
    told.link_rate_from = "the fastest that was recorded";
  } else {
    choices.rates.to_hbm = choices.rates.to_host = 1e9 * (known ? known->link_gbps : some_link);
    told.link_rate_from = known ? std::string("usual for ") + known->name : "assumed: say --link";
  }
}

int run(const Request& request) {
  replay::Choices choices;
  if (const std::string why = choose_policies(request, choices); !why.empty()) return refuse(why);
  const auto recorded = replay::read_recorded(request.trace);
  if (!recorded.ok()) {
    std::fprintf(stderr, "vhbm: %s\n", recorded.status().message().c_str());
    return exit_refused;
  }
  choices.options = replay::options_of(recorded->header);
  replay::Told told{request.trace, {}, {}};
  std::string why = choose_sizes(request, *recorded, choices);
  if (why.empty()) why = choose_options(request, choices);
  if (!why.empty()) return refuse(why);
  choose_rates(request, *recorded, choices, told);

  const bool shows_progress = isatty(STDERR_FILENO) == 1;
  const replay::Study study =
      replay::study(*recorded, choices, [&](std::size_t done, std::size_t all) {
        if (!shows_progress) return;
        std::fprintf(stderr, "\rplayed %zu of %zu\033[K%s", done, all,
                     done == all ? "\r\033[K" : "");
      });
  const auto report = replay::report_json(*recorded, choices, study, told);
  Status written;
  if (!request.html.empty()) written = replay::write_page(*recorded, report, request.html);
  if (written.ok() && !request.timeline.empty()) {
    written = replay::write_timeline(*recorded, request.timeline);
  }
  if (request.json) {
    std::printf("%s\n", report.dump(2).c_str());
  } else {
    std::fputs(replay::report_text(*recorded, choices, study, told).c_str(), stdout);
  }
  if (written.ok()) return exit_ok;
  std::fprintf(stderr, "vhbm: %s\n", written.message().c_str());
  return exit_refused;
}

}  // namespace

void add_replay_command(CLI::App& app, int& exit_code) {
  const auto request = std::make_shared<Request>();
  CLI::App* command =
      app.add_subcommand("replay", "Play a recording under other policies and sizes of HBM");
  std::string names;
  for (const std::string& name : policy_names()) names += (names.empty() ? "" : ",") + name;
  command->add_option("trace", request->trace, "what `vhbm record` wrote")
      ->required()
      ->type_name("FILE");
  command->add_option("--policy", request->policies, "which, separated by commas; all otherwise")
      ->delimiter(',')
      ->type_name("NAME:{" + names + "}");
  command
      ->add_option("--hbm", request->sizes,
                   "hbm_limit: sizes, or shares of what the regions take at most, separated by "
                   "commas; as recorded otherwise")
      ->delimiter(',')
      ->type_name("SIZE");
  command
      ->add_option("--set", request->settings,
                   "another value for an option of the recorded process, as name=value; repeatable")
      ->take_all()
      ->allow_extra_args(false);
  command->add_option("--link", request->link, "GB/s of the link, one way; as recorded otherwise")
      ->check(CLI::PositiveNumber);
  command->add_option("--hbm-rate", request->hbm_rate, "GB/s of HBM; by the GPU's name otherwise")
      ->check(CLI::PositiveNumber);
  command->add_flag("--json", request->json, "print JSON");
  command->add_option("--html", request->html, "write curves and a timeline as one page")
      ->type_name("FILE");
  command
      ->add_option("--timeline", request->timeline,
                   "write what was recorded as a trace that Perfetto opens")
      ->type_name("FILE");
  command->footer(examples);
  command->callback([request, &exit_code] { exit_code = run(*request); });
}

}  // namespace vhbm::cli
