// Who a simulated GPU is, by its place in the machine: the same for the driver and for the
// management library, and whatever CUDA_VISIBLE_DEVICES says. Locking: none; values only.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

namespace simgpu {

inline constexpr const char* kRelease = "0.1.0";
inline constexpr const char* kDeviceName = "Simulated GPU (simgpu)";

struct Identity {
  explicit Identity(std::size_t place);

  std::array<unsigned char, 16> uuid;
  std::string uuid_text;  // "GPU-73696d75-..."
  unsigned pci_bus;       // of domain 0, device 0
};

// The places of those GPUs of `count` that a CUDA process sees, in its order: `list` is its
// CUDA_VISIBLE_DEVICES, nullptr when that is not set. Numbers, and UUIDs that may be cut short;
// what is no GPU ends the list, as the CUDA C++ Programming Guide says (section CUDA Environment
// Variables).
std::vector<std::size_t> visible_devices(const char* list, std::size_t count);

}  // namespace simgpu
