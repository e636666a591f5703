// Finds what may be pointers among a kernel's arguments. Hot: no lock, no allocation.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <cstring>

#include "interpose/parameter_layouts.h"

namespace vhbm::interpose {

// Calls `seen` with every aligned 8-byte word of the buffer that CU_LAUNCH_PARAM_BUFFER_POINTER
// gives.
template <typename Seen>
void words_of_buffer(void** extra, Seen&& seen) {
  const char* buffer = nullptr;
  std::size_t size = 0;
  for (; *extra != CU_LAUNCH_PARAM_END; extra += 2) {
    if (*extra == CU_LAUNCH_PARAM_BUFFER_POINTER) buffer = static_cast<const char*>(extra[1]);
    if (*extra == CU_LAUNCH_PARAM_BUFFER_SIZE) size = *static_cast<const std::size_t*>(extra[1]);
  }
  if (buffer == nullptr) return;
  for (std::size_t at = 0; at + sizeof(std::uint64_t) <= size; at += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, buffer + at, sizeof word);
    seen(word);
  }
}

// Calls `seen` with every aligned 8-byte word of the parameters.
template <typename Seen>
void words_of_parameters(const ParameterLayout& layout, void** parameters, Seen&& seen) {
  for (std::size_t i = 0; i < layout.size(); ++i) {
    const char* parameter = static_cast<const char*>(parameters[i]);
    if (parameter == nullptr) return;
    for (std::uint32_t at = 0; at < layout[i]; ++at) {
      std::uint64_t word = 0;
      std::memcpy(&word, parameter + at * sizeof word, sizeof word);
      seen(word);
    }
  }
}

}  // namespace vhbm::interpose
