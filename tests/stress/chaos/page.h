// What a process of the chaos and the one that torments it tell each other: a page that both map.
// It is all that is left of a process that was killed. Locking: none; one end writes each value.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace chaos {

enum class Operation : int {
#define OPERATION(name, weight, text) name,
#include "operations.def"
};

inline constexpr const char* operation_names[] = {
#define OPERATION(name, weight, text) #name,
#include "operations.def"
};

struct Page {
  // By the process.
  std::atomic<std::uint64_t> beats{0};  // grows whenever something has ended
  std::atomic<Operation> doing{Operation::rest};
  std::atomic<std::uint64_t> checked_bytes{0};
  std::atomic<std::uint64_t> out_of_memory{0};  // allocations that were answered so
  std::array<char, 512> why{};                  // before it ends with one of the codes below
  // By its tormentor: it is to end in order.
  std::atomic<bool> quit{false};
};

// How a process ends that nobody killed.
enum ExitCode : int {
  in_order = 0,
  harmed = 3,     // a byte was wrong, or the driver answered what it must not
  bytes_lost = 4  // the driver said that bytes are lost, and vHBM's statistics say so too
};

}  // namespace chaos
