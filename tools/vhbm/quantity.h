// Quantities as a person reads them. Column widths are the caller's.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/stats.h"

namespace vhbm::cli {

// "48.0 MiB", "0", "512 B".
[[nodiscard]] std::string bytes_text(std::uint64_t bytes);
// "12.50 GB/s", "3.20 MB/s", "0": powers of 1000, as links are told.
[[nodiscard]] std::string rate_text(double bytes_per_second);
// "850 ns", "1.50 ms", "2.31 s", "3 min 5 s", "2 h 4 min", "0".
[[nodiscard]] std::string duration_text(std::uint64_t nanoseconds);
[[nodiscard]] std::string value_text(std::uint64_t value, StatUnit unit);
// "[####....]": `part` of `whole`, of so many cells; some of it shows as at least one, and all of
// it only when it is all.
[[nodiscard]] std::string bar(std::uint64_t part, std::uint64_t whole, int cells);
// Rounded down, so that 100 means all.
[[nodiscard]] unsigned percent(std::uint64_t part, std::uint64_t whole);
// A command line without the folders of its program, printable.
[[nodiscard]] std::string short_command(const std::string& command);
// What a program may have put into its command line does not reach the terminal as control codes.
[[nodiscard]] std::string printable(const std::string& text);

}  // namespace vhbm::cli
