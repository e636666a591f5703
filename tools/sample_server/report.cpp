#include "report.h"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <ostream>

namespace sample_server {
namespace {

__attribute__((format(printf, 1, 2))) std::string format(const char* pattern, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, pattern);
  std::vsnprintf(text, sizeof(text), pattern, arguments);
  va_end(arguments);
  return text;
}

double mebibytes(std::size_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}
double ratio(double part, double whole) {
  return whole > 0 ? part / whole : 0;
}

std::string model_text(const ModelShape& model) {
  return format("%zu layers, %zu heads of %zu, %zu experts of %zu a layer, vocabulary %zu",
                model.layers, model.heads, model.head_size, model.experts, model.expert_size,
                model.vocabulary);
}

std::string requests_text(const Options& options, const RunResult& result) {
  std::string text = format("%zu done", result.requests);
  if (result.refused) text += format(", %zu refused as too long for the KV cache", result.refused);
  return text + " of " + (options.trace.empty() ? "a made-up trace" : options.trace);
}

}  // namespace

double percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size())));
  const auto place =
      values.begin() + static_cast<std::ptrdiff_t>(std::max<std::size_t>(rank, 1) - 1);
  std::nth_element(values.begin(), place, values.end());
  return *place;
}

Report::Report(const Options& options, const RunResult& result) {
  const std::string api = word_for(apis, options.api);
  const std::string graphs = word_for(graph_modes, options.graphs);
  const std::string layout = word_for(kv_layouts, options.kv_layout);
  const SchedulerCounts& counts = result.scheduler;
  const Footprint& footprint = result.footprint;
  const double seconds = result.elapsed.count();
  const double hit_ratio = ratio(static_cast<double>(counts.prefix_hit_tokens),
                                 static_cast<double>(counts.prompt_tokens));
  const double output_rate = ratio(static_cast<double>(result.output_tokens), seconds);
  const double computed_rate = ratio(static_cast<double>(counts.computed_tokens), seconds);
  const double ttft50 = percentile(result.ttft, 0.50) * 1e3;
  const double ttft99 = percentile(result.ttft, 0.99) * 1e3;
  std::vector<double> ttft_each;
  for (const double seconds_of_one : result.ttft) ttft_each.push_back(seconds_of_one * 1e3);
  const double tpot50 = percentile(result.tpot, 0.50) * 1e3;
  const double tpot99 = percentile(result.tpot, 0.99) * 1e3;

  rows_ = {
      {"gpu", "GPU", result.gpu, result.gpu},
      {"gpu_memory_bytes",
       "GPU memory",
       format("%.1f MiB, %.1f MiB free at the start", mebibytes(result.memory_at_start.total),
              mebibytes(result.memory_at_start.free)),
       {{"total", result.memory_at_start.total}, {"free_at_start", result.memory_at_start.free}}},
      {"api", "API", api, api},
      {"model",
       "model",
       model_text(options.model),
       {{"layers", options.model.layers},
        {"heads", options.model.heads},
        {"head_size", options.model.head_size},
        {"experts", options.model.experts},
        {"expert_size", options.model.expert_size},
        {"vocabulary", options.model.vocabulary}}},
      {"graphs",
       "graphs",
       format("%s, %zu captured", graphs.c_str(), result.graphs),
       {{"mode", graphs}, {"captured", result.graphs}}},
      {"kv",
       "KV cache",
       format("%zu tokens: %zu blocks of %zu, %s%s", result.kv_blocks * options.block_tokens,
              result.kv_blocks, options.block_tokens, layout.c_str(),
              options.contiguous ? ", contiguous slots" : ""),
       {{"blocks", result.kv_blocks},
        {"block_tokens", options.block_tokens},
        {"layout", layout},
        {"contiguous", options.contiguous}}},
      {"allocated_bytes",
       "allocated, peak",
       format("%.1f MiB: weights %.1f, KV %.1f, workspace %.1f", mebibytes(footprint.total()),
              mebibytes(footprint.weights), mebibytes(footprint.kv),
              mebibytes(footprint.workspace)),
       {{"peak", footprint.total()},
        {"weights", footprint.weights},
        {"kv", footprint.kv},
        {"workspace", footprint.workspace}}},
      {"requests",
       "requests",
       requests_text(options, result),
       {{"done", result.requests}, {"refused", result.refused}, {"trace", options.trace}}},
      {"scale_tokens", "token counts",
       options.scale_tokens == 1
           ? "as in the trace"
           : format("divided by %zu: a hash block of 512 tokens has %zu",
                    static_cast<std::size_t>(options.scale_tokens),
                    static_cast<std::size_t>(tokens_per_hash_block / options.scale_tokens)),
       options.scale_tokens},
      {"tokens",
       "tokens",
       format("%zu prompt, %zu output; %zu computed in %zu steps", counts.prompt_tokens,
              result.output_tokens, counts.computed_tokens, counts.steps),
       {{"prompt", counts.prompt_tokens},
        {"output", result.output_tokens},
        {"computed", counts.computed_tokens},
        {"steps", counts.steps}}},
      {"prefix_hits",
       "prefix hits",
       format("%zu tokens, %.4f of prompts", counts.prefix_hit_tokens, hit_ratio),
       {{"tokens", counts.prefix_hit_tokens}, {"ratio", hit_ratio}}},
      {"recomputed_tokens", "recomputed tokens", std::to_string(counts.recomputed_tokens),
       counts.recomputed_tokens},
      {"preemptions", "preemptions", std::to_string(counts.preemptions), counts.preemptions},
      {"ttft_ms",
       "TTFT",
       format("p50 %.1f ms, p99 %.1f ms", ttft50, ttft99),
       {{"p50", ttft50}, {"p99", ttft99}, {"each", ttft_each}}},
      {"tpot_ms",
       "TPOT",
       format("p50 %.1f ms, p99 %.1f ms", tpot50, tpot99),
       {{"p50", tpot50}, {"p99", tpot99}}},
      {"seconds", "time", format("%.2f s", seconds), seconds},
      {"tokens_per_second",
       "tokens/s",
       format("%.1f output, %.1f computed", output_rate, computed_rate),
       {{"output", output_rate}, {"computed", computed_rate}}},
      {"digest", "digest", result.digest, result.digest},
  };
}

void Report::print(std::ostream& out) const {
  for (const Row& row : rows_) out << format("%-18s %s\n", row.label.c_str(), row.text.c_str());
}

nlohmann::ordered_json Report::json() const {
  nlohmann::ordered_json object;
  for (const Row& row : rows_) object[row.key] = row.value;
  return object;
}

}  // namespace sample_server
