// How a value of each type that options have is written: what the type is called, what it accepts,
// and the way from text to value and back. A type becomes possible in options.def by its Form here.
// What write() gives, read() takes, to the same value.
#pragma once

#include <string>
#include <string_view>

#include "runtime/log_level.h"
#include "runtime/options.h"

namespace vhbm {

// read() is given text without spaces around it; false, and `value` of no use, when it is not
// accepted. `quoted`: a TOML file has it as a string.
template <typename Value>
struct Form;

#define FORM(Value, name_, quoted_, accepted_)             \
  template <>                                              \
  struct Form<Value> {                                     \
    static constexpr const char* type_name = name_;        \
    static constexpr bool quoted = quoted_;                \
    static constexpr const char* accepted = accepted_;     \
    static bool read(std::string_view text, Value& value); \
    static std::string write(const Value& value);          \
  };

FORM(bool, "switch", false, "1 or 0, true or false, on or off, yes or no")
FORM(Size, "size", true,
     "a size such as 8GiB, 512MiB or 4096 (bytes), a share such as 75%, or auto")
FORM(ChunkSize, "size", true, "2MiB times a power of two, at most 1GiB")
FORM(Report, "word", true, "physical or virtual")
FORM(Milliseconds, "time", true,
     "a time of 1ms to 1h, such as 5ms or 2s (a plain number is milliseconds)")
FORM(Pause, "time", true,
     "0 for never, or a time of 10ms to 24h, such as 30s or 5m (a plain number is seconds)")
FORM(Percent, "share", true, "1% to 100%")
FORM(Rate, "rate", true, "bytes a second such as 8GiB/s or 500MiB/s, or auto")
FORM(Priority, "number", false, "1 to 100")
FORM(GpuClass, "word", true, "latency or batch")
FORM(Text, "text", true, "any text")
FORM(LogLevel, "word", true, "trace, debug, info, warn, error or off")
FORM(CompressionChoice, "word", true, "none, lz4, zstd, or zstd:1 to zstd:19 (the level)")
FORM(RemoteAddress, "address", true,
     "redis://[user@]host[:port][/database] or unix:///path/of/socket (no password, no TLS)")
#undef FORM

}  // namespace vhbm
