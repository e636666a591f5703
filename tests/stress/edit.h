// One change of a range of words, as a value: the GPU makes it in order with the others on its
// stream, and apply() makes it on the host's shadow.
#pragma once

#include <cuda.h>

#include <array>
#include <cstdint>
#include <vector>

namespace stress {

enum class Operation : unsigned {
#define OPERATION(name, weight, text) name,
#include "operations.def"
};

struct OperationRow {
  const char* name;
  unsigned weight;
};
inline constexpr OperationRow operation_rows[] = {
#define OPERATION(name, weight, text) {#name, weight},
#include "operations.def"
};
inline constexpr std::size_t operation_count = std::size(operation_rows);

// Whether an operation is an edit that a graph may hold.
[[nodiscard]] constexpr bool is_recorded(Operation operation) {
  constexpr bool yes = true, no = false;
  switch (operation) {
#define EDIT(name, weight, recorded, text) \
  case Operation::name:                    \
    return recorded;
#include "operations.def"
    default:
      return no && yes;
  }
}

using Words = std::vector<std::uint32_t>;

// Who gave memory out.
enum class MemoryKind { plain, stream_ordered, mapped };

// One physical allocation of the program's own.
struct Piece {
  CUmemGenericAllocationHandle handle;
  std::size_t bytes;
};

// A region of the application, or a small allocation that the driver keeps.
struct Buffer {
  MemoryKind kind = MemoryKind::plain;
  std::vector<Piece> pieces;  // of a mapped one
  CUdeviceptr address = 0;
  unsigned slot = 0;    // in the device's table of hidden addresses
  unsigned stream = 0;  // on which all its work is in order
  Words shadow;

  [[nodiscard]] std::size_t bytes() const { return shadow.size() * sizeof(std::uint32_t); }
  [[nodiscard]] std::size_t mapped_bytes() const {
    std::size_t sum = 0;
    for (const Piece& piece : pieces) sum += piece.bytes;
    return sum;
  }
};

struct Edit {
  Operation kind;
  Buffer* buffer;
  std::size_t first, count;  // in words
  std::uint32_t value;
  std::uint32_t rounds = 0;        // of linger
  const Buffer* source = nullptr;  // of copy_between
  std::size_t source_first = 0;

  [[nodiscard]] CUdeviceptr address() const {
    return buffer->address + first * sizeof(std::uint32_t);
  }
};

// What copy_rows and set_rows change of the range: rows of `width` words, `pitch` words apart.
struct Rows {
  std::size_t width, pitch, height;
};
[[nodiscard]] Rows rows_of(const Edit& edit);

// Makes the edit on the shadow.
void apply(const Edit& edit);

}  // namespace stress
