// What a user may set, as one struct that the table in options.def makes. Parsing is pure: it is
// given a look-up function, so that tests need no environment, and every refusal names the
// variable, the value and what is accepted.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/status.h"
#include "runtime/units.h"

namespace vhbm {

// A quantity of memory as a user writes it: left to us, in bytes, or a share of a whole.
class Size {
 public:
  static constexpr Size automatic() { return Size(Kind::automatic, 0); }
  static constexpr Size of(Bytes bytes) { return Size(Kind::absolute, bytes.value); }
  static constexpr Size percent(std::uint64_t value) { return Size(Kind::percent, value); }

  [[nodiscard]] constexpr bool is_automatic() const { return kind_ == Kind::automatic; }
  // In bytes, a percentage being one of `whole`, and `otherwise` when it was left to us.
  [[nodiscard]] constexpr Bytes resolve(Bytes whole, Bytes otherwise) const {
    if (kind_ == Kind::automatic) return otherwise;
    if (kind_ == Kind::absolute) return {value_};
    return {whole.value / 100 * value_ + whole.value % 100 * value_ / 100};
  }
  constexpr bool operator==(const Size&) const = default;

 private:
  enum class Kind { automatic, absolute, percent };
  constexpr Size(Kind kind, std::uint64_t value) : kind_(kind), value_(value) {}
  Kind kind_;
  std::uint64_t value_;
};

enum class Report { physical, virtual_memory };

struct Percent {
  std::uint64_t value = 0;  // 1 to 100
  constexpr bool operator==(const Percent&) const = default;
};

using Milliseconds = std::chrono::milliseconds;
using Text = std::string;

struct Options {
#define OPTION(type, name, initial, text) type name = initial;
#include "runtime/options.def"
#undef OPTION

  // The value of an environment variable, or nullptr.
  using Lookup = std::function<const char*(const char* variable)>;

  // Each option from VHBM_<NAME>, else its default.
  //   Errc::invalid_value  the message names variable, value and what is accepted: run
  //   unvirtualised
  [[nodiscard]] static Result<Options> from_environment(const Lookup& lookup);
  [[nodiscard]] static Result<Options> from_environment();
};

// "8GiB", "1.5 GiB", "512M", "4096", "75%", "auto": a plain number is bytes; k, M, G, T and KiB,
// MiB, GiB, TiB are powers of 1024. nullopt for anything else.
[[nodiscard]] std::optional<Size> parse_size(std::string_view text);

}  // namespace vhbm
