// `vhbm kv-layout`: lists the KV layouts that come with vHBM, shows one, and checks a file: by
// itself, and against what the kernels of a process under vHBM are.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "commands.h"
#include "exit_code.h"
#include "quantity.h"
#include "runtime/kv_layout_file.h"
#include "runtime/kv_layouts.h"
#include "steering.h"
#include "terminal.h"
#include "watched_processes.h"

namespace vhbm::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* examples = R"(Examples:
  vhbm run --set kv_layouts=vllm -- vllm serve MODEL    with one that comes with vHBM
  vhbm kv-layout list                                   which there are
  vhbm kv-layout show vllm >mine.toml                   one to begin with
  vhbm kv-layout check mine.toml --pid 4711             does it fit what that server launches?

A KV layout says how a server's kernels find their KV blocks, so that only blocks in use count as
used. docs/kv-layouts.md tells how to write one. `vhbm kv-layout COMMAND --help` says more.)";

constexpr const char* list_examples = R"(Example:
  vhbm kv-layout list --json

Exit code: 0.)";

constexpr const char* show_examples = R"(Examples:
  vhbm kv-layout show vllm >mine.toml     a file to begin with
  vhbm kv-layout show --keys              what a file may hold

Exit code: 0, or 64 when none of that name comes with vHBM.)";

constexpr const char* check_examples = R"(Examples:
  vhbm kv-layout check mine.toml                    is it accepted, and what does it say?
  vhbm kv-layout check mine.toml --pid 4711         which of the process's kernels it describes, with
                                                    what arguments, what does not fit, what was seen
  vhbm kv-layout check vllm --pid server.py --json

The process has to run with some kv_layouts, be it others: it then knows its kernels. Launches before
its first allocation of 2 MiB are not seen.

Exit code: 0 when the file is accepted and, with --pid, describes a kernel that was launched; 1 when it
is not accepted (stderr says why, line by line) or there is no such process; 2 when it describes no
kernel of the process, or one that it does not fit; 3 when the process does not answer.)";

void say_refused(const std::string& line) {
  std::fprintf(stderr, "%s\n", painted(line, Colour::red, stderr).c_str());
}

std::string dumped(const Json& json, int indent = 2) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

KvLayout built_in(const BuiltInKvLayout& one) {
  KvLayout layout;
  (void)read_kv_layout(one.text, one.name, layout);
  return layout;
}

int list(bool json) {
  Json all = Json::array();
  for (const BuiltInKvLayout& one : built_in_kv_layouts()) {
    const KvLayout layout = built_in(one);
    if (json) {
      all.push_back({{"name", one.name},
                     {"server", layout.server},
                     {"version", layout.version},
                     {"tried", layout.tried},
                     {"kernels", layout.kernels.size()},
                     {"cure", layout.cure}});
      continue;
    }
    std::printf("%-14s %s, %s: %zu kernels%s\n", one.name, layout.server.c_str(),
                layout.version.c_str(), layout.kernels.size(),
                layout.tried ? "" : painted(", not tried yet", Colour::dim, stdout).c_str());
  }
  if (json) std::printf("%s\n", dumped(all).c_str());
  return exit_ok;
}

void show_keys(const char* title, const std::vector<KvKeyRow>& rows) {
  std::printf("%s\n", title);
  for (const KvKeyRow& row : rows) {
    std::printf("  %-13s %s\n  %13s %s\n", row.name, row.text, "",
                painted(row.accepted, Colour::dim, stdout).c_str());
  }
}

int show(const std::string& name, bool keys) {
  if (keys) {
    show_keys("At the top:", kv_layout_keys());
    show_keys("Of each [[kernel]]:", kv_kernel_keys());
    return exit_ok;
  }
  for (const BuiltInKvLayout& one : built_in_kv_layouts()) {
    if (name != one.name) continue;
    std::fputs(one.text, stdout);
    return exit_ok;
  }
  say_refused(name.empty() ? "vhbm: name a layout that `vhbm kv-layout list` shows, or say --keys"
                           : "vhbm: no KV layout " + name +
                                 " comes with vHBM: `vhbm kv-layout list`"
                                 " shows those that do");
  return exit_usage;
}

std::string in_words(const KvKernel& kernel) {
  std::string text = "blocks of " + written(kernel.block_bytes) + " bytes";
  if (!(kernel.block_stride == kernel.block_bytes)) {
    text += ", " + written(kernel.block_stride) + " apart";
  }
  text += "; cache at argument " + written(kernel.keys);
  if (kernel.values) text += ", of values at argument " + written(*kernel.values);
  switch (kernel.form) {
    case KvForm::table:
      text += ". A line of " + written(kernel.table_stride) + " block numbers for each of " +
              written(kernel.sequences) + " sequences at argument " + written(*kernel.table) +
              ", of which count as many as hold the " +
              (kernel.lengths_are == KvLengths::tokens ? "tokens" : "position") + " at argument " +
              written(*kernel.lengths) + ", " + written(kernel.block_tokens) + " tokens a block";
      break;
    case KvForm::slots:
      text += ". A slot for each of " + written(kernel.sequences) + " tokens at argument " +
              written(*kernel.table) + ", " + written(kernel.block_tokens) + " tokens a block";
      break;
    case KvForm::pages:
      text += ". Block numbers at argument " + written(*kernel.table) + ", from where argument " +
              written(*kernel.lengths) + " says for each of " + written(kernel.sequences) +
              " sequences";
      break;
    case KvForm::contiguous:
      text += ", " + written(kernel.sequences) + " of them";
      break;
  }
  return text;
}

Json as_json(const KvLayout& layout) {
  Json all{{"file", layout.file},   {"server", layout.server}, {"version", layout.version},
           {"tried", layout.tried}, {"cure", layout.cure},     {"kernels", Json::array()}};
  for (const KvKernel& kernel : layout.kernels) {
    all["kernels"].push_back({{"name", kernel.name},
                              {"form", kv_form_names[static_cast<std::size_t>(kernel.form)]},
                              {"line", kernel.line},
                              {"in_words", in_words(kernel)}});
  }
  return all;
}

std::string sizes_in_words(const std::vector<std::uint32_t>& sizes) {
  std::string text;
  for (const std::uint32_t size : sizes) text += (text.empty() ? "" : " ") + std::to_string(size);
  return std::to_string(sizes.size()) + " parameters of " + text + " bytes";
}

std::uint64_t number(const Json& json, const char* key) {
  return json.value(key, std::uint64_t{0});
}

// One of the process's kernels, and what a [[kernel]] has to do with it.
struct Met {
  std::string function, misfit;
  std::vector<std::uint32_t> sizes;
  Json told;
};

std::vector<Met> met_by(const KvKernel& kernel, const Json& reply) {
  std::vector<Met> all;
  for (const Json& told : reply.value("kernels", Json::array())) {
    const std::string function = told.value("function", std::string());
    if (!matches(kernel.name, function)) continue;
    const auto sizes = told.value("sizes", std::vector<std::uint32_t>());
    all.push_back({function, misfit(kernel, sizes), sizes, told});
  }
  return all;
}

void tell_met(const Met& met) {
  std::printf("    %s: %s\n", met.function.c_str(), sizes_in_words(met.sizes).c_str());
  if (!met.misfit.empty()) {
    std::printf("      %s\n", painted("does not fit: " + met.misfit, Colour::red, stdout).c_str());
  }
  const std::uint64_t looks = number(met.told, "looks"), refusals = number(met.told, "refusals");
  if (looks != 0) {
    std::printf("      its table was to be looked at %llu times (%llu in graphs)\n",
                static_cast<unsigned long long>(looks),
                static_cast<unsigned long long>(number(met.told, "captured")));
  }
  if (refusals != 0) {
    std::printf("      not looked at %llu times, the last because %s\n",
                static_cast<unsigned long long>(refusals),
                met.told.value("refusal", std::string()).c_str());
  }
  if (met.told.value("off", false)) {
    std::printf(
        "      %s\n",
        painted("switched off: what it reads are no block numbers", Colour::red, stdout).c_str());
  }
}

void tell_cache(const Json& cache) {
  const std::uint64_t entries = number(cache, "entries"), strays = number(cache, "strays");
  std::printf("  %s at 0x%llx: %llu looks saw %llu block numbers, %llu of them in no block\n",
              bytes_text(number(cache, "bytes")).c_str(),
              static_cast<unsigned long long>(number(cache, "begin")),
              static_cast<unsigned long long>(number(cache, "looks")),
              static_cast<unsigned long long>(entries), static_cast<unsigned long long>(strays));
  if (!cache.contains("used_bytes")) return;
  const std::uint64_t used = number(cache, "used_bytes"), touched = number(cache, "touched_bytes");
  std::printf("    in use: %s, in %s of its %s of chunks, filled to %u%%\n",
              bytes_text(used).c_str(), bytes_text(touched).c_str(),
              bytes_text(number(cache, "chunk_bytes")).c_str(), percent(used, touched));
}

// Returns the exit code, and what is known in `all`.
int compare(const KvLayout& layout, const Json& reply, bool json, Json& all) {
  bool any = false, misfits = false;
  all["process"] = reply;
  if (!json) std::printf("in the process:\n");
  for (std::size_t i = 0; i < layout.kernels.size(); ++i) {
    const KvKernel& kernel = layout.kernels[i];
    const auto met = met_by(kernel, reply);
    Json& row = all["kernels"][i]["met"] = Json::array();
    if (!json) {
      std::printf("  %s%s\n", kernel.name.c_str(),
                  met.empty() ? ": no such kernel was launched" : "");
    }
    for (const Met& one : met) {
      any = any || one.misfit.empty();
      misfits = misfits || !one.misfit.empty();
      row.push_back({{"function", one.function}, {"sizes", one.sizes}, {"misfit", one.misfit}});
      if (!json) tell_met(one);
    }
  }
  if (!json) {
    for (const Json& cache : reply.value("caches", Json::array())) tell_cache(cache);
  }
  return any && !misfits ? exit_ok : exit_does_not_fit;
}

int check(const std::string& file, const std::string& process, bool json) {
  KvLayout layout;
  const auto refusals = load_kv_layout(file, layout);
  for (const std::string& line : refusals) say_refused(line);
  if (!refusals.empty()) return exit_refused;
  Json all = as_json(layout);
  int code = exit_ok;
  if (!json) {
    std::printf("%s: %s\n%s, %s%s\n", file.c_str(), painted("ok", Colour::green, stdout).c_str(),
                layout.server.c_str(), layout.version.c_str(),
                layout.tried ? "" : "; not tried with a real server yet");
    for (const KvKernel& kernel : layout.kernels) {
      std::printf("  %s\n    %s\n", kernel.name.c_str(), in_words(kernel).c_str());
    }
  }
  if (!process.empty()) {
    const auto found = find_process(process);
    if (!found) return exit_no_process;
    Json names = Json::array();
    for (const KvKernel& kernel : layout.kernels) names.push_back(kernel.name);
    const Answer answer =
        ask(*found, {{"command", "kv"}, {"names", names}}, std::chrono::seconds(10));
    if (answer.exit_code == exit_no_process) {
      return tell_no_process(*found, *shared_directory(*found));
    }
    if (answer.exit_code != exit_ok) {
      say_refused("vhbm: process " + std::to_string(*found) + ": " + answer.why);
      return answer.exit_code;
    }
    code = compare(layout, answer.reply, json, all);
  }
  if (json) std::printf("%s\n", dumped(all).c_str());
  return code;
}

struct Request {
  std::string file, process;
  bool json = false, keys = false;
};

}  // namespace

void add_kv_layout_command(CLI::App& app, int& exit_code) {
  const auto request = std::make_shared<Request>();
  CLI::App* command = app.add_subcommand("kv-layout", "Say how a server's kernels find their KV");
  command->require_subcommand(1);
  command->footer(examples);

  CLI::App* list_command = command->add_subcommand("list", "List the layouts that come with vHBM");
  list_command->add_flag("--json", request->json, "print JSON");
  list_command->footer(list_examples);
  list_command->callback([request, &exit_code] { exit_code = list(request->json); });

  std::vector<std::string> names;
  for (const BuiltInKvLayout& one : built_in_kv_layouts()) names.emplace_back(one.name);
  CLI::App* show_command = command->add_subcommand("show", "Print a layout that comes with vHBM");
  show_command->add_option("name", request->file, "as `vhbm kv-layout list` shows it")
      ->check(CLI::IsMember(names));
  show_command->add_flag("--keys", request->keys, "what a file may hold, instead");
  show_command->footer(show_examples);
  show_command->callback([request, &exit_code] { exit_code = show(request->file, request->keys); });

  CLI::App* check_command = command->add_subcommand("check", "Check a layout, and explain it");
  check_command->add_option("file", request->file, "the file, or the name of one that is listed")
      ->required()
      ->type_name("FILE");
  check_command
      ->add_option("--pid,--process", request->process,
                   "compare it with this process's kernels: its id, or the name of its program")
      ->type_name("PID|NAME");
  check_command->add_flag("--json", request->json, "print JSON");
  check_command->footer(check_examples);
  check_command->callback(
      [request, &exit_code] { exit_code = check(request->file, request->process, request->json); });
}

}  // namespace vhbm::cli
