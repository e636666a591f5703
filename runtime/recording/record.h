// What a trace is made of, as values: one struct a row of record_kinds.def, and the way to bytes
// and back. Invariant: what append() writes, take() reads, to the same value; numbers are written
// in as many bytes as they need, lists as differences, since neighbours and cycles then pack well.
// Locking: none.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

namespace vhbm::recording {

#define NUMBER(name) std::uint64_t name = 0;
#define TEXT(name) std::string name;
#define NUMBERS(name) std::vector<std::uint64_t> name;
#define RECORD(kind, fields)                             \
  struct kind {                                          \
    fields bool operator==(const kind&) const = default; \
  };
#include "runtime/recording/record_kinds.def"
#undef RECORD
#undef NUMBER
#undef TEXT
#undef NUMBERS

// monostate: of a kind that this version does not know.
using Content = std::variant<std::monostate
#define NUMBER(name)
#define TEXT(name)
#define NUMBERS(name)
#define RECORD(kind, fields) , kind
#include "runtime/recording/record_kinds.def"
#undef RECORD
                             >;

inline constexpr const char* kind_names[] = {
    "unknown",
#define RECORD(kind, fields) #kind,
#include "runtime/recording/record_kinds.def"
#undef RECORD
};
#undef NUMBER
#undef TEXT
#undef NUMBERS

// Why chunks changed tier.
enum class Cause : std::uint8_t { pager, repair, sleep };
inline constexpr const char* cause_names[] = {"pager", "repair", "sleep"};

struct Record {
  std::chrono::nanoseconds at{0};  // since the recording began
  Content content;

  bool operator==(const Record&) const = default;
};

// Puts the record's bytes behind those of `bytes`.
void append(const Record& record, std::string& bytes);

// Takes the first record off `bytes`. False, with the reason, when they are none.
[[nodiscard]] bool take(std::string_view& bytes, Record& record, std::string* why_not);

[[nodiscard]] constexpr std::uint64_t packed_use(std::uint8_t lane, std::uint32_t region) {
  return std::uint64_t{region} << 8 | lane;
}
[[nodiscard]] constexpr std::uint8_t lane_of(std::uint64_t use) {
  return static_cast<std::uint8_t>(use);
}
[[nodiscard]] constexpr std::uint32_t region_of(std::uint64_t use) {
  return static_cast<std::uint32_t>(use >> 8);
}

}  // namespace vhbm::recording
