// A model that reads its layers' weights in a cycle, as decoding does, and nothing else: what a
// step costs is what it costs to have the weights where they are read. In one phase, or in several
// that are each repeated, as an encoder, a transformer and a decoder are. Prints what each pass
// took as JSON. For comparison it keeps the weights in host memory and reads them in place, or
// copies each layer to one of a few buffers just before it is read, as paging on demand does.
#include <cuda.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "layer_kernels.h"

namespace {

enum class Graphs { none, layer, step };
enum class Place { device, host, on_demand };

struct Settings {
  unsigned layers = 16;
  std::size_t layer_mib = 4;
  std::vector<unsigned> phases = {1};  // how often each is repeated in a round
  unsigned rounds = 10;
  Graphs graphs = Graphs::none;
  Place place = Place::device;
  std::size_t buffers = 4;
  bool waits = false;  // for each layer, as a program that looks at its results does
  std::size_t stride = 128;
  unsigned blocks = 1024;
};

void check(CUresult result, const char* call) {
  if (result == CUDA_SUCCESS) return;
  const char* name = nullptr;
  cuGetErrorName(result, &name);
  std::fprintf(stderr, "layers: %s: %s\n", call, name == nullptr ? "unknown error" : name);
  std::exit(1);
}
#define CHECK(call) check(call, #call)

class Model {
 public:
  explicit Model(const Settings& settings) : settings_(settings) {
    CHECK(gpu_image::load(layer_kernels_images(), &module_));
    CHECK(cuModuleGetFunction(&read_, module_, "read_layer"));
    CHECK(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
    CHECK(cuMemAlloc(&sum_, sizeof(unsigned long long)));
    CHECK(cuMemsetD8(sum_, 0, sizeof(unsigned long long)));
    for (std::size_t i = 0; i < settings.layers * settings.phases.size(); ++i) make_layer(i);
    if (settings.place == Place::on_demand) {
      slots_.resize(settings.buffers);
      for (Slot& slot : slots_) CHECK(cuMemAlloc(&slot.buffer, bytes()));
    }
    // The null stream's copies and the memset may still be on their way; this stream does not wait
    // for it.
    CHECK(cuCtxSynchronize());
    if (settings.graphs == Graphs::none) return;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      if (settings.graphs == Graphs::layer) graphs_[i] = captured(i, i + 1);
      if (settings.graphs == Graphs::step && i % settings.layers == 0) {
        graphs_[i] = captured(i, i + settings.layers);
      }
    }
  }

  // Once through the layers of a phase; how long that took, in seconds.
  double pass(std::size_t phase) {
    const auto begin = std::chrono::steady_clock::now();
    const std::size_t first = phase * settings_.layers;
    for (std::size_t i = first; i < first + settings_.layers; ++i) {
      if (settings_.graphs == Graphs::none) {
        read(i);
      } else if (const auto graph = graphs_.find(i); graph != graphs_.end()) {
        CHECK(cuGraphLaunch(graph->second, stream_));
      }
      if (settings_.waits) CHECK(cuStreamSynchronize(stream_));
    }
    CHECK(cuStreamSynchronize(stream_));
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

  unsigned long long sum() {
    unsigned long long value = 0;
    CHECK(cuMemcpyDtoH(&value, sum_, sizeof value));
    return value;
  }

 private:
  struct Slot {
    CUdeviceptr buffer = 0;
    std::size_t layer = SIZE_MAX;
    std::uint64_t used = 0;
  };

  [[nodiscard]] std::size_t bytes() const { return settings_.layer_mib << 20; }

  void make_layer(std::size_t index) {
    CUdeviceptr weights = 0;
    std::vector<unsigned long long> loaded;
    unsigned long long* words = nullptr;
    if (settings_.place == Place::device) {
      CHECK(cuMemAlloc(&weights, bytes()));
      loaded.resize(bytes() / 8);
      words = loaded.data();
    } else {
      CHECK(cuMemHostAlloc(reinterpret_cast<void**>(&words), bytes(), CU_MEMHOSTALLOC_DEVICEMAP));
      CHECK(cuMemHostGetDevicePointer(&weights, words, 0));
    }
    for (std::size_t i = 0; i < bytes() / 8; ++i) {
      const unsigned long long mixed = ((index << 32) + i) * 0x9e3779b97f4a7c15ull;
      words[i] = mixed ^ mixed >> 29;
    }
    if (!loaded.empty()) CHECK(cuMemcpyHtoD(weights, words, bytes()));
    layers_.push_back(weights);
  }

  void read(std::size_t index) {
    CUdeviceptr weights = settings_.place == Place::on_demand ? paged_in(index) : layers_[index];
    unsigned long long words = bytes() / 8, stride = settings_.stride / 8;
    void* parameters[] = {&weights, &words, &stride, &sum_};
    CHECK(cuLaunchKernel(read_, settings_.blocks, 1, 1, 64, 1, 1, 0, stream_, parameters, nullptr));
  }

  // In the buffer that was used longest ago, unless one has it.
  CUdeviceptr paged_in(std::size_t index) {
    Slot* slot = &slots_.front();
    for (Slot& one : slots_) {
      if (one.layer == index) {
        one.used = ++clock_;
        return one.buffer;
      }
      if (one.used < slot->used) slot = &one;
    }
    CHECK(cuMemcpyAsync(slot->buffer, layers_[index], bytes(), stream_));
    slot->layer = index;
    slot->used = ++clock_;
    return slot->buffer;
  }

  CUgraphExec captured(std::size_t first, std::size_t end) {
    CUgraph graph = nullptr;
    CUgraphExec executable = nullptr;
    CHECK(cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    for (std::size_t i = first; i < end; ++i) read(i);
    CHECK(cuStreamEndCapture(stream_, &graph));
    CHECK(cuGraphInstantiate(&executable, graph, 0));
    CHECK(cuGraphDestroy(graph));
    return executable;
  }

  const Settings settings_;
  CUmodule module_ = nullptr;
  CUfunction read_ = nullptr;
  CUstream stream_ = nullptr;
  CUdeviceptr sum_ = 0;
  std::vector<CUdeviceptr> layers_;
  std::map<std::size_t, CUgraphExec> graphs_;  // by first layer
  std::vector<Slot> slots_;
  std::uint64_t clock_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app(
      "Reads the weights of a model's layers in a cycle, and says how long each pass took.");
  app.add_option("--layers", settings.layers, "layers of a phase")->check(CLI::Range(1, 4096));
  app.add_option("--layer-mib", settings.layer_mib, "MiB of weights a layer")
      ->check(CLI::Range(1, 65536));
  app.add_option("--phases", settings.phases, "how often each phase is repeated in a round")
      ->delimiter(',')
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--rounds", settings.rounds, "rounds")->check(CLI::Range(1, 1'000'000));
  const std::map<std::string, Graphs> graphs = {
      {"none", Graphs::none}, {"layer", Graphs::layer}, {"step", Graphs::step}};
  app.add_option("--graphs", settings.graphs, "none, layer (one a layer) or step (one a pass)")
      ->transform(CLI::CheckedTransformer(graphs));
  const std::map<std::string, Place> places = {
      {"device", Place::device}, {"host", Place::host}, {"on-demand", Place::on_demand}};
  app.add_option("--weights", settings.place,
                 "device, host (read in place), or on-demand (copied to a buffer as needed; eager)")
      ->transform(CLI::CheckedTransformer(places));
  app.add_option("--buffers", settings.buffers, "layers that fit, with --weights on-demand")
      ->check(CLI::Range(1, 4096));
  app.add_flag("--wait", settings.waits, "wait for each layer before the next is launched");
  app.add_option("--stride", settings.stride, "bytes from one word that is read to the next")
      ->check(CLI::Range(8, 1 << 20));
  app.add_option("--blocks", settings.blocks, "blocks of 64 threads a kernel")
      ->check(CLI::Range(1, 65535));
  CLI11_PARSE(app, argc, argv);
  if (settings.place == Place::on_demand && settings.graphs != Graphs::none) {
    std::fprintf(stderr, "layers: --weights on-demand goes with --graphs none only\n");
    return 64;
  }

  CUdevice device = 0;
  CUcontext context = nullptr;
  CHECK(cuInit(0));
  CHECK(cuDeviceGet(&device, 0));
  CHECK(cuDevicePrimaryCtxRetain(&context, device));
  CHECK(cuCtxSetCurrent(context));
  Model model(settings);
  nlohmann::json rounds = nlohmann::json::array();
  for (unsigned round = 0; round < settings.rounds; ++round) {
    nlohmann::json passes = nlohmann::json::array();
    for (std::size_t phase = 0; phase < settings.phases.size(); ++phase) {
      nlohmann::json each = nlohmann::json::array();
      for (unsigned i = 0; i < settings.phases[phase]; ++i) each.push_back(model.pass(phase));
      passes.push_back(each);
    }
    rounds.push_back(passes);
  }
  std::printf("%s\n", nlohmann::json{{"sum", model.sum()}, {"seconds", rounds}}.dump().c_str());
  return 0;
}
