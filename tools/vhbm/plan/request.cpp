#include "request.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "gpu_table.h"
#include "model_files.h"
#include "runtime/option_forms.h"
#include "runtime/words.h"

namespace vhbm::plan {
namespace {

constexpr std::uint64_t usual_context = 8192;

// Takes a request apart; what is wrong with it is gathered.
class Reader {
 public:
  Reader(const Request& request, std::vector<std::string>& refusals)
      : request_(request), refusals_(refusals) {}

  void read_models(Workload& workload) {
    for (const std::string& path : request_.models) {
      ShapeRead model = read_model(path, request_.family);
      refusals_.insert(refusals_.end(), model.refusals.begin(), model.refusals.end());
      workload.models.emplace_back().shape = std::move(model.shape);
    }
    if (request_.layers != 0) workload.models.emplace_back().shape = shape_of_figures();
    if (workload.models.empty()) {
      refuse("no model: name one with --model, or give --layers, --kv-heads and --head-size");
      return;
    }
    for (std::size_t i = 0; i < workload.models.size() && refusals_.empty(); ++i) {
      read_load(workload.models[i], i, workload.models.size());
    }
  }

  void read_machine(Machine& machine, const std::optional<GpuSeen>& seen) {
    const GpuKnown* known = nullptr;
    if (!request_.gpu.empty()) {
      known = gpu_named(request_.gpu);
      if (known == nullptr) return refuse_gpu();
      machine.gpu = known->name;
    } else if (request_.hbm.empty() && seen) {
      known = gpu_of_device(seen->name);
      machine.gpu = seen->name;
      machine.hbm_bytes = seen->memory;
    }
    if (known != nullptr) {
      if (machine.hbm_bytes == 0) machine.hbm_bytes = known->hbm_gib * (1ULL << 30);
      machine.hbm_rate = known->bandwidth_gbps * 1e9;
      machine.link_rate = known->link_gbps * 1e9;
      machine.flops = known->tflops * 1e12;
    }
    if (!request_.hbm.empty()) machine.hbm_bytes = size("--hbm", request_.hbm);
    if (request_.hbm_rate) machine.hbm_rate = *request_.hbm_rate * 1e9;
    if (request_.link) machine.link_rate = *request_.link * 1e9;
    if (request_.tflops) machine.flops = *request_.tflops * 1e12;
    machine.gpus = request_.gpus;
    machine.hbm_share = request_.hbm_percent / 100;
    machine.flops_share = request_.flops_percent / 100;
    if (machine.hbm_bytes == 0) {
      refuse(
          "no GPU here: name one with --gpu (vhbm plan --list shows them), or give --hbm, "
          "--hbm-rate, --link and --tflops");
    } else if (machine.hbm_rate <= 0 || machine.link_rate <= 0 || machine.flops <= 0) {
      refuse(
          (machine.gpu.empty() ? "the GPU" : machine.gpu) +
          " is not in the table: give --hbm-rate, --link and --tflops, or a --gpu that is like it");
    }
  }

  double size(const char* option, const std::string& text) {
    Size value = Size::automatic();
    if (Form<Size>::read(text, value) && !value.is_automatic() && !value.is_share()) {
      return static_cast<double>(value.resolve({}, {}).value);
    }
    refuse(std::string(option) + " " + text + "; accepted: a size such as 80GiB or 4096 (bytes)");
    return 0;
  }

 private:
  void refuse(const std::string& text) { refusals_.push_back(text); }

  void refuse_gpu() {
    std::vector<std::string> names;
    for (const GpuKnown& gpu : known_gpus()) names.emplace_back(gpu.name);
    refuse("--gpu " + request_.gpu + "; accepted: " + joined_with_or(names) +
           "; others by --hbm, --hbm-rate, --link and --tflops");
  }

  // "8.03B", "671B", "124439808".
  double count(const char* option, const std::string& text) {
    char* end = nullptr;
    double value = std::strtod(text.c_str(), &end);
    const std::string unit = end;
    const double factor = unit.empty()  ? 1
                          : unit == "K" ? 1e3
                          : unit == "M" ? 1e6
                          : unit == "B" ? 1e9
                          : unit == "T" ? 1e12
                                        : 0;
    value *= factor;
    if (end != text.c_str() && std::isfinite(value) && value >= 1 && value <= 1e15) return value;
    refuse(std::string(option) + " " + text +
           "; accepted: a number such as 8.03B, 560M or 124439808");
    return 0;
  }

  ModelShape shape_of_figures() {
    ModelShape shape;
    shape.name = "model";
    shape.family = "by its figures";
    const bool latent = request_.latent_size != 0;
    if (!latent && (request_.kv_heads == 0 || request_.head_size == 0)) {
      refuse("--layers goes with --kv-heads and --head-size, or --latent-size");
    }
    if (request_.parameters.empty()) {
      refuse("--layers goes with --parameters: without them nothing is known of the weights");
    }
    if ((request_.window == 0) != (request_.window_layers == 0)) {
      refuse("--window and --window-layers go together");
    }
    if (request_.state.empty() != (request_.state_layers == 0)) {
      refuse("--state and --state-layers go together");
    }
    if (request_.window_layers + request_.state_layers > request_.layers) {
      refuse("--window-layers and --state-layers; accepted: together at most --layers, " +
             std::to_string(request_.layers));
    }
    if (!refusals_.empty()) return shape;
    LayerGroup group;
    group.kind = latent ? LayerKind::latent : LayerKind::attention;
    group.layers = request_.layers - request_.window_layers - request_.state_layers;
    group.heads = latent ? 1 : request_.kv_heads;
    group.planes = latent ? 1 : 2;
    group.elements = latent ? request_.latent_size : 2 * request_.kv_heads * request_.head_size;
    const std::uint64_t query_heads =
        request_.query_heads != 0 ? request_.query_heads : group.heads;
    group.score_width =
        latent ? 2 * query_heads * request_.latent_size : 2 * query_heads * request_.head_size;
    if (group.layers != 0) shape.add(group);
    if (request_.window_layers != 0) {
      LayerGroup sliding = group;
      sliding.kind = LayerKind::sliding;
      sliding.layers = request_.window_layers;
      sliding.window = request_.window;
      shape.add(sliding);
    }
    if (request_.state_layers != 0) {
      LayerGroup recurrent;
      recurrent.kind = LayerKind::recurrent;
      recurrent.layers = request_.state_layers;
      recurrent.state_bytes = static_cast<std::uint64_t>(size("--state", request_.state));
      shape.add(recurrent);
    }
    return shape;
  }

  // The value for model `i` of `models`.
  template <typename Value>
  const Value* of_model(const char* option, const std::vector<Value>& values, std::size_t i,
                        std::size_t models) {
    if (values.empty()) return nullptr;
    if (values.size() == 1) return values.data();
    if (values.size() == models) return &values[i];
    refuse(std::string(option) + " is given " + std::to_string(values.size()) +
           " times; accepted: once, or once for each of the " + std::to_string(models) + " models");
    return nullptr;
  }

  void read_load(ModelLoad& load, std::size_t i, std::size_t models) {
    if (const auto* text = of_model("--parameters", request_.parameters, i, models)) {
      load.shape.parameters = count("--parameters", *text);
      load.shape.active_parameters = load.shape.matrix_parameters = load.shape.parameters;
      load.shape.weight_bytes = load.shape.parameters * 2;
      load.shape.weights_from = "--parameters, 16 bits each";
    }
    if (const auto* text = of_model("--active-parameters", request_.active_parameters, i, models)) {
      load.shape.active_parameters = count("--active-parameters", *text);
      load.shape.matrix_parameters = load.shape.active_parameters;
    }
    if (const auto* text = of_model("--weights", request_.weights, i, models)) {
      load.shape.weight_bytes = size("--weights", *text);
      load.shape.weights_from = "--weights";
    }
    load.context = load.shape.max_context == 0 ? usual_context
                                               : std::min(usual_context, load.shape.max_context);
    if (const auto* value = of_model("--context", request_.context, i, models)) {
      load.context = *value;
    }
    if (const auto* value = of_model("--sessions", request_.sessions, i, models)) {
      load.sessions = *value;
    }
    load.active = load.sessions;
    if (const auto* value = of_model("--active", request_.active, i, models)) load.active = *value;
    if (load.active > load.sessions) {
      refuse("--active " + std::to_string(load.active) + "; accepted: at most --sessions, " +
             std::to_string(load.sessions));
    }
    load.kv_bits = request_.kv_bits;
  }

  const Request& request_;
  std::vector<std::string>& refusals_;
};

}  // namespace

WorkloadRead read_workload(const Request& request, const std::optional<GpuSeen>& seen,
                           double host_available) {
  WorkloadRead read;
  Workload& workload = read.workload;
  Reader reader(request, read.refusals);
  reader.read_models(workload);
  reader.read_machine(workload.machine, seen);
  workload.machine.host_bytes = host_available / 2;
  read.host_from = "half of what is available here";
  if (!request.host.empty()) {
    workload.machine.host_bytes = reader.size("--host", request.host);
    read.host_from = "--host";
  }
  workload.layout = {request.block_tokens, request.layers_together};
  workload.at_once = request.at_once;
  return read;
}

}  // namespace vhbm::plan
