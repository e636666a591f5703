// Who has which part of a file: offsets alone, no file. Parts are multiples of `unit`.
// Invariant: free extents never touch each other nor the end, so what is free at the end is past
// it. Locking: the caller's.
#pragma once

#include <map>
#include <optional>

#include "runtime/units.h"

namespace vhbm {

struct Extent {
  Bytes offset, size;
  constexpr bool operator==(const Extent&) const = default;
  [[nodiscard]] constexpr Bytes end() const { return offset + size; }
};

class Extents {
 public:
  static constexpr Bytes unit = kib(4);

  explicit Extents(Bytes limit) : limit_(limit) {}

  // The first free part of at least `size`; nullopt when there is none below the limit.
  [[nodiscard]] std::optional<Extent> take(Bytes size);
  // `extent` was taken, or is part of what was.
  void give_back(Extent extent);

  // One past the last part that is taken.
  [[nodiscard]] Bytes end() const { return end_; }
  [[nodiscard]] Bytes taken() const { return taken_; }

 private:
  const Bytes limit_;
  std::map<Bytes, Bytes> free_;  // size by offset
  Bytes end_, taken_;
};

}  // namespace vhbm
