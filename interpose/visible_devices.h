// Which GPUs of the machine a CUDA process will see, told before there is CUDA in it: by
// CUDA_VISIBLE_DEVICES as the CUDA C++ Programming Guide defines it. Values only. Locking: none.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace vhbm::interpose {

// A GPU as NVML has it.
struct MachineDevice {
  unsigned index;         // by PCI address
  std::string_view uuid;  // "GPU-…"; "MIG-…" for a part of one
};

// `list` is the variable's value, nullptr where it is not set; `count` how many GPUs there are;
// `numbered_alike` whether CUDA's numbers for them are known to be NVML's. False also where it
// cannot be known: a number of another order, or a part of a GPU that is not named.
[[nodiscard]] bool is_visible(const MachineDevice& device, const char* list, unsigned count,
                              bool numbered_alike) noexcept;

// The 16 bytes that "GPU-73696d75-6c61-…" writes; nullopt for what is no UUID.
[[nodiscard]] std::optional<std::array<std::uint8_t, 16>> uuid_bytes(
    std::string_view text) noexcept;

}  // namespace vhbm::interpose
