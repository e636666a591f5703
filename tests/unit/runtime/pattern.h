// The words that the pager's tests fill memory with and look for: each index has its own under each
// seed. Compiled optimised and unwatched by sanitizers, since the tests make gigabytes of them.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/units.h"

namespace vhbm {

// Both lie in this thread's buffer, which stays as it is until the thread asks again: under
// ThreadSanitizer memory that is new each time costs more than what is done with it.
std::span<const std::uint32_t> pattern(Bytes size, std::uint32_t seed);
// Words that are no pattern's, to read into.
std::span<std::uint32_t> words_without_pattern(Bytes size);

bool is_pattern(std::span<const std::uint32_t> words, std::uint32_t seed);

}  // namespace vhbm
