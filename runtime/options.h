// What a user may set, as one struct that the table in options.def makes. Values come from, weakest
// first: the default, the TOML file that VHBM_CONFIG names, the environment. Loading is given a
// look-up function, so that tests need no environment, and every refusal is one line that names the
// place, the value and what is accepted.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/claim.h"
#include "runtime/compression_choice.h"
#include "runtime/log_level.h"
#include "runtime/remote_address.h"
#include "runtime/status.h"
#include "runtime/tag.h"
#include "runtime/units.h"

namespace vhbm {

// A quantity of memory as a user writes it: left to us, in bytes, or a share of a whole.
class Size {
 public:
  static constexpr Size automatic() { return Size(Kind::automatic, 0); }
  static constexpr Size of(Bytes bytes) { return Size(Kind::absolute, bytes.value); }
  static constexpr Size percent(std::uint64_t value) { return Size(Kind::percent, value); }

  [[nodiscard]] constexpr bool is_automatic() const { return kind_ == Kind::automatic; }
  [[nodiscard]] constexpr bool is_share() const { return kind_ == Kind::percent; }
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

// A Size that a chunk can have: 2 MiB times a power of two.
struct ChunkSize : Size {
  constexpr ChunkSize(Size size) : Size(size) {}
};

enum class Report { physical, virtual_memory };

struct Percent {
  std::uint64_t value = 0;  // 1 to 100
  constexpr bool operator==(const Percent&) const = default;
};

// Bytes a second; 0 is no bound.
struct Rate {
  std::uint64_t value = 0;
  constexpr bool operator==(const Rate&) const = default;
};

struct Priority {
  std::uint32_t value = 50;  // 1 to 100
  constexpr bool operator==(const Priority&) const = default;
};

using Milliseconds = std::chrono::milliseconds;
// A time that may be none at all.
struct Pause {
  Milliseconds length{0};
  constexpr bool operator==(const Pause&) const = default;
};
using Text = std::string;

// The rows of options.def, to count them and to index by them.
enum class OptionId : std::size_t {
#define OPTION(type, name, initial, text) name,
#include "runtime/options.def"
#undef OPTION
};
inline constexpr std::size_t option_count = 0
#define OPTION(type, name, initial, text) +1
#include "runtime/options.def"
#undef OPTION
    ;

// Where a value comes from.
struct Origin {
  enum class Kind { preset, file, environment };
  Kind kind = Kind::preset;
  std::string place;  // "server.toml:7", "VHBM_HBM_LIMIT"; empty for a default
};

// Words that an option accepts and only the caller knows, such as the names of policies.
using KnownWords = std::vector<std::pair<std::string, std::vector<std::string>>>;

struct Options {
#define OPTION(type, name, initial, text) type name = initial;
#include "runtime/options.def"
#undef OPTION
  std::vector<TagRule> tag_rules;  // from the file only; the first that matches a region decides

  std::array<Origin, option_count> origins;
  [[nodiscard]] const Origin& origin(OptionId id) const {
    return origins[static_cast<std::size_t>(id)];
  }

  // The value of an environment variable, or nullptr.
  using Lookup = std::function<const char*(const char* variable)>;

  // Each option from VHBM_<NAME>, else from the file that VHBM_CONFIG names, else its default.
  //   Errc::invalid_value  the message names the variable, or file, line and key, the value and
  //                        what is accepted: run unvirtualised
  [[nodiscard]] static Result<Options> from_environment(const Lookup& lookup,
                                                        const KnownWords& words = {});
  [[nodiscard]] static Result<Options> from_environment(const KnownWords& words = {});

  // VHBM_DISABLE alone, so that it counts whatever is wrong with anything else.
  [[nodiscard]] static bool disabled_by(const Lookup& lookup);
  [[nodiscard]] static bool disabled_by_environment();
};

// "8GiB", "1.5 GiB", "512M", "4096", "75%", "auto": a plain number is bytes; k, M, G, T and KiB,
// MiB, GiB, TiB are powers of 1024. nullopt for anything else.
[[nodiscard]] std::optional<Size> parse_size(std::string_view text);
// "8GiB", "1536MiB", "4095B": exact, in the largest unit that it is a multiple of.
[[nodiscard]] std::string write_bytes(Bytes bytes);

}  // namespace vhbm
