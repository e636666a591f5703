#include "interpose/kernel_arguments.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <vector>

#include "interpose/handle_map.h"
#include "interpose/resolver.h"

namespace vhbm::interpose {
namespace {

// Where in a kernel's parameters addresses may stand: the word at `offset` in parameter `index`.
struct PlaceOfWord {
  std::uint32_t index, offset;
  bool operator==(const PlaceOfWord&) const = default;
};
using Layout = std::vector<PlaceOfWord>;

HandleMap<Layout, 16384> layouts;

// Kernels share few layouts, so each distinct one is kept once and for good.
const Layout* kept(Layout layout) {
  static std::mutex mutex;
  static auto* const all = new std::deque<Layout>;
  std::lock_guard lock(mutex);
  auto it = std::find(all->begin(), all->end(), layout);
  if (it == all->end()) it = all->insert(all->end(), std::move(layout));
  return &*it;
}

using GetParamInfo = CUresult (*)(CUfunction, size_t, size_t*, size_t*);
using GetFunction = CUresult (*)(CUfunction*, CUkernel);

// 12.4 and newer; older drivers give no evidence of arguments.
const Layout* ask_driver(CUfunction function) noexcept {
  static const auto info = reinterpret_cast<GetParamInfo>(next_function("cuFuncGetParamInfo"));
  static const auto get = reinterpret_cast<GetFunction>(next_function("cuKernelGetFunction"));
  if (info == nullptr) return nullptr;
  try {
    CUfunction asked = function;
    Layout layout;
    for (std::uint32_t index = 0;; ++index) {
      size_t offset = 0, size = 0;
      CUresult result = info(asked, index, &offset, &size);
      if (result == CUDA_ERROR_INVALID_HANDLE && index == 0 && asked == function && get != nullptr &&
          get(&asked, reinterpret_cast<CUkernel>(function)) == CUDA_SUCCESS) {
        result = info(asked, index, &offset, &size);  // it was a CUkernel
      }
      if (result != CUDA_SUCCESS) break;
      const size_t first = (offset + 7) / 8 * 8 - offset;
      for (size_t at = first; at + sizeof(CUdeviceptr) <= size; at += sizeof(CUdeviceptr)) {
        layout.push_back({index, static_cast<std::uint32_t>(at)});
      }
    }
    return kept(std::move(layout));
  } catch (...) {
    return nullptr;
  }
}

const Layout* layout_of(CUfunction function) noexcept {
  const Layout* layout = layouts.find(function);
  if (layout != nullptr) return layout;
  layout = ask_driver(function);
  if (layout != nullptr) layouts.remember(function, layout);
  return layout;
}

CUdeviceptr word_at(const void* place) noexcept {
  CUdeviceptr word;
  std::memcpy(&word, place, sizeof word);
  return word;
}

template <typename F>
void for_each_word(CUfunction function, void** parameters, void** extra, F&& word) noexcept {
  if (extra != nullptr) {
    const char* buffer = nullptr;
    size_t size = 0;
    for (; *extra != CU_LAUNCH_PARAM_END; extra += 2) {
      if (*extra == CU_LAUNCH_PARAM_BUFFER_POINTER) buffer = static_cast<const char*>(extra[1]);
      if (*extra == CU_LAUNCH_PARAM_BUFFER_SIZE) size = *static_cast<const size_t*>(extra[1]);
    }
    if (buffer == nullptr) return;
    for (size_t at = 0; at + sizeof(CUdeviceptr) <= size; at += sizeof(CUdeviceptr)) {
      word(word_at(buffer + at));
    }
  } else if (parameters != nullptr) {
    const Layout* layout = layout_of(function);
    if (layout == nullptr) return;
    for (const PlaceOfWord& place : *layout) {
      word(word_at(static_cast<const char*>(parameters[place.index]) + place.offset));
    }
  }
}

}  // namespace

void name_arguments(Submission& work, CUfunction function, void** parameters, void** extra) noexcept {
  if (!work.active()) return;
  for_each_word(function, parameters, extra, [&](CUdeviceptr word) { work.names(word); });
}

void for_each_argument_word(CUfunction function, void** parameters, void** extra, Word word,
                            void* user) noexcept {
  for_each_word(function, parameters, extra, [&](CUdeviceptr value) { word(value, user); });
}

void forget_functions() noexcept { layouts.forget_all(); }

}  // namespace vhbm::interpose
