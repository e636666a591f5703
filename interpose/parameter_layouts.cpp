// Parameters are counted by asking until the driver knows no more of them: a count exists
// since 13.2 only.
#include "interpose/parameter_layouts.h"

#include <new>

#include "runtime/kv_layouts.h"

namespace vhbm::interpose {
namespace {

// cuda.h knows no limit; the parameters of one launch are at most 32 KiB.
constexpr std::size_t most_parameters = 4096;

// CUDA_ERROR_INVALID_VALUE when all parameters were seen; another error when the handle is none.
CUresult ask_for_sizes(CUfunction function, const Queries& ask, std::vector<std::uint32_t>& sizes) {
  for (std::size_t i = 0; i < most_parameters; ++i) {
    std::size_t offset = 0, size = 0;
    if (CUresult result = ask.cuFuncGetParamInfo(function, i, &offset, &size);
        result != CUDA_SUCCESS) {
      return result;
    }
    sizes.push_back(static_cast<std::uint32_t>(size));
  }
  return CUDA_ERROR_INVALID_VALUE;
}

// As the driver tells it of either; empty where it does not.
std::string name_of(CUfunction function, const Queries& ask) {
  const char* name = nullptr;
  if (ask.cuFuncGetName != nullptr && ask.cuFuncGetName(&name, function) == CUDA_SUCCESS &&
      name != nullptr) {
    return name;
  }
  if (ask.cuKernelGetName == nullptr ||
      ask.cuKernelGetName(&name, reinterpret_cast<CUkernel>(function)) != CUDA_SUCCESS ||
      name == nullptr) {
    return {};
  }
  return name;
}

}  // namespace

const ParameterLayout* ParameterLayouts::learn(CUfunction function, const Queries& ask) noexcept {
  if (ask.cuFuncGetParamInfo == nullptr || full_.load(std::memory_order_relaxed)) return nullptr;
  try {
    std::vector<std::uint32_t> sizes;
    CUresult result = ask_for_sizes(function, ask, sizes);
    if (result != CUDA_ERROR_INVALID_VALUE && ask.cuKernelGetFunction != nullptr) {
      // A CUkernel may stand where a CUfunction is asked for.
      CUfunction of_kernel = nullptr;
      sizes.clear();
      if (ask.cuKernelGetFunction(&of_kernel, reinterpret_cast<CUkernel>(function)) ==
          CUDA_SUCCESS) {
        result = ask_for_sizes(of_kernel, ask, sizes);
      }
    }
    // Kept as well, lest every launch asks again.
    if (result != CUDA_ERROR_INVALID_VALUE) sizes.clear();
    ParameterLayout layout;
    for (const std::uint32_t size : sizes) layout.words.push_back(size / sizeof(std::uint64_t));
    if (KvLayouts* const kv = kv_layouts_.load(); kv != nullptr && !sizes.empty()) {
      layout.kv = kv->match(name_of(function, ask), std::move(sizes));
    }
    std::lock_guard lock(mutex_);
    const ParameterLayout* shared = &*layouts_.insert(std::move(layout)).first;
    if (!known_.put(function, shared)) full_.store(true, std::memory_order_relaxed);
    return shared;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void ParameterLayouts::forget() noexcept {
  std::lock_guard lock(mutex_);
  known_.drop_values();
}

}  // namespace vhbm::interpose
