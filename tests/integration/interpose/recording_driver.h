// A driver that only takes notes: see recording_driver.cpp.
#pragma once

#include <array>
#include <cstdint>

using Word = std::uint64_t;

struct RecordedCall {
  const char* function = nullptr;    // nullptr when there was no call
  std::array<Word, 12> arguments{};  // as they came; a narrow one's upper bits mean nothing
};

// The last call since this was asked last.
RecordedCall take_recorded_call();
// From here on cuGetProcAddress, asked with this very pointer, gives the function of that name.
void let_recording_driver_give(const char* symbol);

// The next call succeeds, and gives this by its first argument if it is not 0.
void let_recording_driver_succeed(Word gives = 0);

// What the function answers whose row of symbols.def stands in this line.
constexpr int recorded_error(int line) {
  return 100'000 + line;
}
