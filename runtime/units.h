// Units and identities are types, so that a chunk index is never taken for a byte count.
#pragma once

#include <compare>
#include <cstdint>

namespace vhbm {

struct Bytes {
  std::uint64_t value = 0;

  constexpr auto operator<=>(const Bytes&) const = default;
  constexpr Bytes& operator+=(Bytes other) {
    value += other.value;
    return *this;
  }
  constexpr Bytes& operator-=(Bytes other) {
    value -= other.value;
    return *this;
  }
  friend constexpr Bytes operator+(Bytes a, Bytes b) { return {a.value + b.value}; }
  friend constexpr Bytes operator-(Bytes a, Bytes b) { return {a.value - b.value}; }
  friend constexpr Bytes operator*(Bytes a, std::uint64_t n) { return {a.value * n}; }

  // Never wraps: what is left of `a` after taking away `b`, at least 0.
  friend constexpr Bytes saturating_minus(Bytes a, Bytes b) {
    return {a.value > b.value ? a.value - b.value : 0};
  }
  constexpr Bytes rounded_up_to(Bytes unit) const {
    return {(value + unit.value - 1) / unit.value * unit.value};
  }
};

constexpr Bytes kib(std::uint64_t n) {
  return {n << 10};
}
constexpr Bytes mib(std::uint64_t n) {
  return {n << 20};
}
constexpr Bytes gib(std::uint64_t n) {
  return {n << 30};
}

// An address as the GPU sees it (a CUdeviceptr).
struct DeviceAddress {
  std::uint64_t value = 0;

  constexpr auto operator<=>(const DeviceAddress&) const = default;
  friend constexpr DeviceAddress operator+(DeviceAddress a, Bytes n) { return {a.value + n.value}; }
  friend constexpr Bytes operator-(DeviceAddress a, DeviceAddress b) { return {a.value - b.value}; }
};

struct AddressRange {
  DeviceAddress base;
  Bytes size;

  constexpr bool operator==(const AddressRange&) const = default;
  [[nodiscard]] constexpr bool contains(AddressRange other) const {
    return other.base >= base && other.size <= size && other.base - base <= size - other.size;
  }
};

// A chunk, by its position in the window, in base pages of 2 MiB.
struct ChunkId {
  std::uint32_t value = 0;
  constexpr auto operator<=>(const ChunkId&) const = default;
};

// One physical allocation of the application; never reused within a process.
struct MemoryId {
  std::uint64_t value = 0;
  constexpr auto operator<=>(const MemoryId&) const = default;
};

// One allocation of the application; never reused within a process.
struct RegionId {
  std::uint64_t value = 0;
  constexpr auto operator<=>(const RegionId&) const = default;
};

}  // namespace vhbm
