// Which pieces of memory looks at block tables may read: each has a word that a look checks when it
// runs, so that one that was captured long ago reads nothing that was freed since. Invariant: a
// piece's word is its stamp as long as the piece is there, and no stamp is ever given out again.
// Locking: the caller's.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "runtime/kernels/kv_probe_request.h"

namespace vhbm {

class KvGuards {
 public:
  // `words` are so many, in memory that the kernel reads.
  void begin(std::uint32_t* words, std::size_t count);
  // That memory is gone, and with it every look.
  void end() { words_ = nullptr; }

  // What a look checks before it reads of [base, base + size); nullopt when there are as many
  // pieces as there can be.
  [[nodiscard]] std::optional<KvGuard> watch(std::uint64_t base, std::uint64_t size);
  // All that overlaps [base, base + size) is about to be freed.
  void goes(std::uint64_t base, std::uint64_t size) noexcept;

 private:
  struct Piece {
    std::uint64_t size;
    std::uint32_t index, stamp;
  };
  void set(std::uint32_t index, std::uint32_t value) const noexcept;

  std::uint32_t* words_ = nullptr;
  std::size_t count_ = 0, used_ = 0;
  std::uint32_t next_stamp_ = 1;
  std::map<std::uint64_t, Piece> pieces_;  // by base
  std::vector<std::uint32_t> free_;
};

}  // namespace vhbm
