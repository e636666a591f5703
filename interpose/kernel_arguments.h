// Finds what may be pointers among a kernel's arguments. Hot: no lock, no allocation.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "interpose/parameter_layouts.h"
#include "interpose/window_words.h"

namespace vhbm::interpose {

// Calls `seen` with every aligned 8-byte word in the window, of the buffer that
// CU_LAUNCH_PARAM_BUFFER_POINTER gives.
template <typename Seen>
void words_of_buffer(const Window& window, void** extra, Seen&& seen) {
  const char* buffer = nullptr;
  std::size_t size = 0;
  for (; *extra != CU_LAUNCH_PARAM_END; extra += 2) {
    if (*extra == CU_LAUNCH_PARAM_BUFFER_POINTER) buffer = static_cast<const char*>(extra[1]);
    if (*extra == CU_LAUNCH_PARAM_BUFFER_SIZE) size = *static_cast<const std::size_t*>(extra[1]);
  }
  if (buffer != nullptr) words_in_window(window, buffer, size / sizeof(std::uint64_t), seen);
}

// Calls `seen` with every aligned 8-byte word in the window, of the parameters.
template <typename Seen>
void words_of_parameters(const Window& window, const ParameterLayout& layout, void** parameters,
                         Seen&& seen) {
  for (std::size_t i = 0; i < layout.words.size(); ++i) {
    const char* parameter = static_cast<const char*>(parameters[i]);
    if (parameter == nullptr) return;
    words_in_window(window, parameter, layout.words[i], seen);
  }
}

}  // namespace vhbm::interpose
