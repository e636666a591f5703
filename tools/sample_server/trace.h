// Request traces in Mooncake's format: one JSON object a line with `timestamp` (ms), `input_length`
// and `output_length` (tokens) and `hash_ids`, one for every 512 tokens of input. Equal ids mean
// equal content up to that block. Reading checks every line; a TraceError names what is wrong and
// where.
#pragma once

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace sample_server {

constexpr std::uint64_t tokens_per_hash_block = 512;

struct TraceRequest {
  std::chrono::milliseconds timestamp{0};
  std::uint64_t input_length = 0;
  std::uint64_t output_length = 0;
  std::vector<std::uint64_t> hash_ids;
};

// Says file, line, key, value and what is accepted.
class TraceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Reads at most `limit` requests (0: all). `name` is the file's name for messages.
//   TraceError  a line is not an object of this format, or there is no request at all
std::vector<TraceRequest> read_trace(std::istream& in, const std::string& name, std::size_t limit);
std::vector<TraceRequest> read_trace_file(const std::string& path, std::size_t limit);

void write_trace(std::ostream& out, std::span<const TraceRequest> requests);

// The input and output token counts of `request` divided by `scale`, at least one token each.
std::uint64_t scaled_input(const TraceRequest& request, std::uint64_t scale);
std::uint64_t scaled_output(const TraceRequest& request, std::uint64_t scale);

// The prompt a request stands for, scaled: every hash id contributes the same
// tokens_per_hash_block / scale tokens wherever it occurs. `scale` divides tokens_per_hash_block.
std::vector<std::int32_t> prompt_tokens(const TraceRequest& request, std::uint64_t scale,
                                        std::uint32_t vocabulary);

}  // namespace sample_server
