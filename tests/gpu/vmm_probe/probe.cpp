// Sets up what every sub-test stands on: driver, device, context, kernels.
#include "probe.h"

#include <algorithm>
#include <cstdio>

#include "probe_kernels.h"

namespace vmm_probe {

std::span<const SubTest> sub_tests() {
  static constexpr SubTest table[] = {
#define SUB_TEST(function, answers) {#function, answers, function},
#include "sub_tests.def"
#undef SUB_TEST
  };
  return table;
}

Probe::Probe(const Settings& settings, Publish publish)
    : settings_(settings), publish_(std::move(publish)), host_memory_(settings.host_memory) {
  if (const std::string reason = load_driver(); !reason.empty()) throw NoGpu(reason);
  if (const CUresult result = cu.cuInit(0); result != CUDA_SUCCESS)
    throw NoGpu(result == CUDA_ERROR_STUB_LIBRARY
                    ? "libcuda.so.1 is the CUDA Toolkit's stub, not a driver"
                    : "the driver finds no usable GPU: cuInit: " + name_of(result));
  int count = 0;
  must(cu.cuDeviceGetCount(&count), "cuDeviceGetCount");
  if (settings.device >= count)
    throw NoGpu("there is no device " + std::to_string(settings.device) + ", the driver counts " +
                std::to_string(count));
  must(cu.cuDeviceGet(&device_, settings.device), "cuDeviceGet");
  must(cu.cuDevicePrimaryCtxRetain(&context_, device_), "cuDevicePrimaryCtxRetain");
  must(cu.cuCtxSetCurrent(context_), "cuCtxSetCurrent");
  host_node_ = std::max(0, attribute(CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID));
  CUmemAllocationProp prop{};
  prop.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  prop.location = {CU_MEM_LOCATION_TYPE_DEVICE, {device_}};
  must(cu.cuMemGetAllocationGranularity(&granularity_, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM),
       "cuMemGetAllocationGranularity");
}

int Probe::attribute(CUdevice_attribute which) const {
  int value = -1;
  return cu.cuDeviceGetAttribute(&value, which, device_) == CUDA_SUCCESS ? value : -1;
}

bool Probe::has_kernels() {
  if (!module_tried_) {
    module_tried_ = true;
    CUresult result = CUDA_ERROR_NO_BINARY_FOR_GPU;
    for (const gpu_image::Image& image : probe_kernels_images()) {
      result = cu.cuModuleLoadData(&module_, image.data);
      if (result == CUDA_SUCCESS) break;
      module_ = nullptr;
    }
    if (!module_)
      why_no_kernels_ = "no kernel image fits this device (" + name_of(result) +
                        "); the probe's kernels are real GPU code for sm_90 and newer";
  }
  return module_ != nullptr;
}

CUfunction Probe::kernel(const char* name) {
  if (!has_kernels()) throw Skipped(why_no_kernels_);
  CUfunction function = nullptr;
  must(cu.cuModuleGetFunction(&function, module_, name), std::string("kernel ") + name);
  return function;
}

void Probe::record(const std::string& key, Json value) {
  findings_[key] = std::move(value);
  publish_(findings_, headline_);
}

void Probe::append(const std::string& list, Json row) {
  findings_[list].push_back(std::move(row));
  publish_(findings_, headline_);
}

void Probe::headline(std::string one_line) {
  headline_ = std::move(one_line);
  publish_(findings_, headline_);
}

double median(std::vector<double> samples) {
  if (samples.empty()) return 0;
  std::sort(samples.begin(), samples.end());
  return samples[samples.size() / 2];
}

Json spread(const std::string& name_with_unit, std::vector<double> samples) {
  if (samples.empty()) return Json::object();
  std::sort(samples.begin(), samples.end());
  const std::size_t last = samples.size() - 1;
  return {{name_with_unit + "_median", samples[samples.size() / 2]},
          {name_with_unit + "_min", samples.front()},
          {name_with_unit + "_p99", samples[last * 99 / 100]},
          {name_with_unit + "_max", samples.back()},
          {"samples_count", samples.size()}};
}

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

}  // namespace vmm_probe
