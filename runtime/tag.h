// What a region holds, and how sure that is. A tag orders evictions and may permit a shortcut that
// the user promised; it never decides whether bytes are right.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "runtime/units.h"

namespace vhbm {

enum class Tag : std::uint8_t { other, weights, kv, workspace };

inline constexpr std::array<const char*, 4> tag_names = {"other", "weights", "kv", "workspace"};

[[nodiscard]] constexpr const char* name_of(Tag tag) {
  return tag_names[static_cast<std::size_t>(tag)];
}

[[nodiscard]] constexpr std::optional<Tag> find_tag(std::string_view name) {
  for (std::size_t i = 0; i < tag_names.size(); ++i) {
    if (name == tag_names[i]) return static_cast<Tag>(i);
  }
  return std::nullopt;
}

// A tag, how sure it is, and why.
struct TagGuess {
  Tag tag = Tag::other;
  unsigned confidence = 0;  // percent; 100 is the user's word
  const char* reason = "no evidence yet";
};

// A line of the configuration that says what regions of certain sizes hold. The first rule that
// matches a region decides, whatever the evidence says.
struct TagRule {
  Bytes min_size{0};
  Bytes max_size{UINT64_MAX};  // inclusive
  std::optional<Tag> tag;
  bool held = false;  // such regions stay where they are

  [[nodiscard]] constexpr bool matches(Bytes size) const {
    return size >= min_size && size <= max_size;
  }
  constexpr bool operator==(const TagRule&) const = default;
};

}  // namespace vhbm
