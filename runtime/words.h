// Words as users write them and as messages tell them.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace vhbm {

// Without the white space around it.
[[nodiscard]] std::string_view trimmed(std::string_view text);

// The known word that the fewest changes of a letter lead to; nullopt when none is close enough to
// be worth a suggestion.
[[nodiscard]] std::optional<std::string> nearest_word(std::string_view word,
                                                      std::span<const std::string> known);

// "a", "a or b", "a, b or c".
[[nodiscard]] std::string joined_with_or(std::span<const std::string> words);

}  // namespace vhbm
