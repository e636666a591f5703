#include "machine.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "engine/fuzzer.h"
#include "engine/statistics.h"
#include "engine/thread_state.h"
#include "lifecycle.h"
#include "simgpu/control.h"

namespace simgpu {
namespace {

std::atomic<Machine*> the_machine{nullptr};
std::mutex start_mutex;
std::atomic<bool> parent_had_machine{false};

// As on a real driver, a forked child has no CUDA and cannot have any: it would wait for threads
// and locks of its parent's.
void forget_in_child() {
  parent_had_machine.store(true);
  the_machine.store(nullptr);
}

void write_summary() {
  Machine* instance = machine();
  if (instance == nullptr) return;  // a forked child's end
  std::FILE* file = std::fopen(instance->options.summary.c_str(), "w");
  if (file == nullptr) return;
  std::uint64_t peak = 0, budget = 0;
  for (const auto& device : instance->devices) {
    peak += device->hbm.peak();
    budget += device->hbm.budget();
  }
  std::fprintf(file,
               "{\"hbm_bytes\": %llu, \"peak_hbm_bytes\": %llu, \"peak_host_bytes\": %llu, "
               "\"peak_pinned_bytes\": %llu, "
               "\"kernels\": %llu, \"graph_launches\": %llu, \"copied_bytes\": %llu, "
               "\"kernel_link_bytes\": %llu}\n",
               (unsigned long long)budget, (unsigned long long)peak,
               (unsigned long long)instance->host_pool.peak(),
               (unsigned long long)instance->host_memory.peak(),
               (unsigned long long)statistics().kernels.load(),
               (unsigned long long)statistics().graph_launches.load(),
               (unsigned long long)statistics().copied_bytes.load(),
               (unsigned long long)statistics().link_bytes.load());
  std::fclose(file);
}

// At the process's end no thread is on its way out, which leak checkers stumble over. Those that
// still work, or wait for work, end with the process.
void join_ended_threads() {
  Machine* instance = machine();
  if (instance == nullptr || getpid() != instance->process) return;  // a child has none of them
  auto lock = instance->lock();
  const auto streams = instance->all_streams();
  instance->wait(lock, [&] {
    return std::none_of(streams.begin(), streams.end(),
                        [](const auto& stream) { return stream->ending(); });
  });
  for (const auto& stream : streams) {
    if (stream->ended()) stream->join();
  }
}

}  // namespace

Statistics& statistics() {
  static Statistics instance;
  return instance;
}

ThreadState& thread_state() {
  static thread_local ThreadState state;
  return state;
}

Machine* machine() {
  return the_machine.load(std::memory_order_acquire);
}

Machine::Machine(const Options& settings, MachineFile* shared)
    : process(getpid()),
      options(settings),
      space(settings.va),
      host_pool(settings.host),
      host_memory(settings.host),
      imports(&space) {
  for (std::size_t place : visible_devices(std::getenv("CUDA_VISIBLE_DEVICES"), settings.devices)) {
    const int ordinal = static_cast<int>(devices.size());
    devices.push_back(std::make_unique<Device>(ordinal, place, options, shared, &space));
    auto pool = std::make_shared<MemoryPool>(ordinal, 0, &devices.back()->hbm, &space);
    devices.back()->default_pool = devices.back()->current_pool = pool.get();
    pools.add(std::move(pool));
  }
}

Native Machine::find_native(CUdeviceptr address) {
  Native found;
  for (const auto& device : devices) {
    found.allocation = device->heap.find(address, &found.base);
    found.device = device.get();
    if (found.allocation != nullptr) return found;
  }
  for (const auto& [raw, pool] : pools) {
    found.allocation = pool->find(address, &found.base);
    found.device = devices[static_cast<std::size_t>(pool->device)].get();
    found.pool = raw;
    if (found.allocation != nullptr) return found;
  }
  found.pool = nullptr;
  found.allocation = imports.find(address, &found.base);
  if (found.allocation == nullptr) return {};
  found.device = found.allocation->context->device;
  found.imported = true;
  return found;
}

bool Machine::is_native(CUdeviceptr address) {
  if (find_native(address).allocation != nullptr) return true;
  return std::any_of(pools.begin(), pools.end(),
                     [&](const auto& entry) { return entry.second->owns(address); });
}

void Machine::drop_drained_pools() {
  std::vector<MemoryPool*> drained;
  for (const auto& [raw, pool] : pools) {
    if (pool->destroyed && pool->drained()) drained.push_back(raw);
  }
  for (MemoryPool* pool : drained) {
    pool->trim(0);
    pools.take(reinterpret_cast<CUmemoryPool>(pool));
  }
}

void Machine::trim_pools() {
  for (const auto& [raw, pool] : pools) pool->trim(pool->release_threshold);
}

std::vector<Context*> Machine::live_contexts() {
  std::vector<Context*> live;
  for (const auto& device : devices) {
    if (device->primary != nullptr && device->primary->alive) live.push_back(device->primary.get());
  }
  for (const auto& context : contexts) {
    if (context->alive) live.push_back(context.get());
  }
  return live;
}

Context* Machine::find_context(CUcontext handle) {
  auto* wanted = reinterpret_cast<Context*>(handle);
  for (const auto& device : devices) {
    if (wanted != nullptr && device->primary.get() == wanted) return wanted;
  }
  for (const auto& context : contexts) {
    if (context.get() == wanted) return wanted;
  }
  return nullptr;
}

void Machine::wake_streams() {
  // Also those of a context being destroyed, which drain.
  for (const auto& device : devices) {
    if (device->primary != nullptr) device->primary->wake_streams();
  }
  for (const auto& context : contexts) context->wake_streams();
}

std::vector<std::shared_ptr<Stream>> Machine::all_streams() const {
  std::vector<std::shared_ptr<Stream>> all;
  auto add = [&](const Context& context) {
    all.insert(all.end(), context.streams.begin(), context.streams.end());
  };
  for (const auto& device : devices) {
    if (device->primary != nullptr) add(*device->primary);
  }
  for (const auto& context : contexts) add(*context);
  return all;
}

CUresult start_machine() {
  if (parent_had_machine.load()) return CUDA_ERROR_NOT_INITIALIZED;
  std::lock_guard lock(start_mutex);
  if (machine() != nullptr) return CUDA_SUCCESS;
  Options options;
  std::string error;
  if (!options.read_environment(&error)) {
    std::fprintf(stderr, "simgpu: %s\n", error.c_str());
    return CUDA_ERROR_INVALID_VALUE;
  }
  std::unique_ptr<MachineFile> shared;
  if (!options.machine.empty()) {
    shared = MachineFile::open(options.machine, &error);
    if (shared == nullptr || !shared->join() || options.devices > MachineFile::kDevices) {
      std::fprintf(
          stderr, "simgpu: SIMGPU_MACHINE: %s\n",
          shared == nullptr ? error.c_str() : "more processes or devices than it has room for");
      return CUDA_ERROR_INVALID_VALUE;
    }
  }
  auto* instance = new Machine(options, shared.release());
  if (!instance->faults.set(options.faults, &error)) {
    std::fprintf(stderr, "simgpu: SIMGPU_FAULTS: %s\n", error.c_str());
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (!options.profile.empty()) {
    Profile profile;
    if (!profile.read(options.profile, &error)) {
      std::fprintf(stderr, "simgpu: SIMGPU_PROFILE: %s\n", error.c_str());
      return CUDA_ERROR_INVALID_VALUE;
    }
    instance->costs = std::make_unique<Costs>(profile);
  }
  if (!Fuzzer::configure(options.fuzz)) {
    std::fprintf(stderr, "simgpu: SIMGPU_FUZZ='%s': accepted is SEED or SEED:INTENSITY, 1 to 100\n",
                 options.fuzz.c_str());
    return CUDA_ERROR_INVALID_VALUE;
  }
  the_machine.store(instance, std::memory_order_release);
  pthread_atfork(nullptr, nullptr, &forget_in_child);
  std::atexit(&join_ended_threads);
  if (!options.summary.empty()) std::atexit(&write_summary);
  return CUDA_SUCCESS;
}

}  // namespace simgpu

extern "C" {

const char* simgpu_version(void) {
  return simgpu::kRelease;
}

int simgpu_set_faults(const char* plan) {
  simgpu::Machine* instance = simgpu::machine();
  if (instance == nullptr) return 0;
  std::string error;
  auto lock = instance->lock();
  return instance->faults.set(plan, &error) ? 1 : 0;
}

unsigned long long simgpu_faults_struck(void) {
  simgpu::Machine* instance = simgpu::machine();
  if (instance == nullptr) return 0;
  auto lock = instance->lock();
  return instance->faults.struck();
}

double simgpu_seconds(void) {
  simgpu::Machine* instance = simgpu::machine();
  if (instance == nullptr || instance->costs == nullptr) return 0;
  auto lock = instance->lock();
  return instance->costs->now();
}

int simgpu_set_fuzz(const char* text) {
  if (text == nullptr || *text == 0) {
    simgpu::Fuzzer::configure(0, 0);
    return 1;
  }
  return simgpu::Fuzzer::configure(text) ? 1 : 0;
}

void simgpu_memory(int device, SimgpuMemory* out) {
  *out = {};
  simgpu::Machine* instance = simgpu::machine();
  if (instance == nullptr || device < 0 || device >= (int)instance->devices.size()) return;
  auto lock = instance->lock();
  const simgpu::PhysicalPool& hbm = instance->devices[device]->hbm;
  *out = {hbm.budget(), hbm.used(), hbm.peak(), instance->host_pool.used(),
          instance->host_pool.peak()};
}
}
