// What a CUipcMemHandle of ours holds: 64 bytes that name a region of a process, which another one
// that is preloaded as well can ask that process for. They are no use to anybody else.
#pragma once

#include <cuda.h>

#include <array>
#include <bit>
#include <cstdint>

namespace vhbm {

struct SharedHandle {
  static constexpr std::uint64_t magic_value = 0x31637069'6d626876;  // "vhbmipc1"
  // Raised whenever a field changes, or what is asked and answered.
  static constexpr std::uint32_t version_now = 1;

  std::uint64_t magic = magic_value;
  std::uint32_t version = version_now;
  std::uint32_t pid = 0;                 // of the exporter, for messages only:
  std::int64_t started_at = 0;           // the next field is what finds it
  std::uint64_t process = 0;             // random, names its socket
  std::array<std::uint64_t, 2> token{};  // random, names the region
  std::uint64_t size = 0;                // of the region, in bytes
  std::uint64_t unused = 0;

  // Whether a handle is one of ours; `out` then holds it.
  [[nodiscard]] static bool read(const CUipcMemHandle& handle, SharedHandle* out) {
    *out = std::bit_cast<SharedHandle>(handle);
    return out->magic == magic_value;
  }
  [[nodiscard]] CUipcMemHandle written() const { return std::bit_cast<CUipcMemHandle>(*this); }
  bool operator==(const SharedHandle&) const = default;
};
static_assert(sizeof(SharedHandle) == sizeof(CUipcMemHandle));

}  // namespace vhbm
