#include "trace.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "random_bits.h"

namespace sample_server {
namespace {

using nlohmann::json;

constexpr std::uint64_t longest_accepted = 1ULL << 24;  // tokens; no model is served with more

// One line of the file, with what is needed to complain about it.
class Line {
 public:
  Line(const std::string& file, std::size_t number, const std::string& text)
      : file_(file), number_(number) {
    object_ = json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!object_.is_object()) {
      std::string shown = text.substr(0, 60);
      if (text.size() > 60) shown += "…";
      fail(std::string("'").append(shown).append(
          "' is not a JSON object; accepted is {\"timestamp\": …, \"input_length\": …, "
          "\"output_length\": …, \"hash_ids\": […]}"));
    }
  }

  std::uint64_t number(const char* key, std::uint64_t least, std::uint64_t most) const {
    return whole_number(key, value(key), least, most);
  }

  std::vector<std::uint64_t> hash_ids(std::uint64_t input_length) const {
    const json& ids = value("hash_ids");
    const std::uint64_t expected =
        (input_length + tokens_per_hash_block - 1) / tokens_per_hash_block;
    if (!ids.is_array() || ids.size() != expected) {
      fail("hash_ids", ids,
           "a list of " + std::to_string(expected) + " ids, one for every " +
               std::to_string(tokens_per_hash_block) + " tokens of input_length " +
               std::to_string(input_length));
    }
    std::vector<std::uint64_t> result;
    for (const json& id : ids) result.push_back(whole_number("hash_ids", id, 0, 1ULL << 62));
    return result;
  }

  [[noreturn]] void fail(const char* key, const json& found, const std::string& accepted) const {
    std::string shown = found.dump();
    if (shown.size() > 60) shown = shown.substr(0, 60) + "…";
    fail(std::string("key '") + key + "' is " + shown + "; accepted is " + accepted);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw TraceError(file_ + ":" + std::to_string(number_) + ": " + what);
  }

  const json& value(const char* key) const {
    const auto found = object_.find(key);
    if (found == object_.end()) fail(std::string("key '") + key + "' is missing");
    return *found;
  }

  std::uint64_t whole_number(const char* key, const json& found, std::uint64_t least,
                             std::uint64_t most) const {
    if (!found.is_number_unsigned() || found.get<std::uint64_t>() < least ||
        found.get<std::uint64_t>() > most) {
      fail(key, found,
           "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    }
    return found.get<std::uint64_t>();
  }

  const std::string& file_;
  std::size_t number_;
  json object_;
};

}  // namespace

std::vector<TraceRequest> read_trace(std::istream& in, const std::string& name, std::size_t limit) {
  std::vector<TraceRequest> requests;
  std::string text;
  for (std::size_t number = 1; (limit == 0 || requests.size() < limit) && std::getline(in, text);
       ++number) {
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    const Line line(name, number, text);
    TraceRequest request;
    const std::uint64_t earliest =
        requests.empty() ? 0 : static_cast<std::uint64_t>(requests.back().timestamp.count());
    request.timestamp = std::chrono::milliseconds(line.number("timestamp", earliest, 1ULL << 53));
    request.input_length = line.number("input_length", 1, longest_accepted);
    request.output_length = line.number("output_length", 1, longest_accepted);
    request.hash_ids = line.hash_ids(request.input_length);
    requests.push_back(std::move(request));
  }
  if (requests.empty()) throw TraceError(name + ": no request in it; accepted is one a line");
  return requests;
}

std::vector<TraceRequest> read_trace_file(const std::string& path, std::size_t limit) {
  std::ifstream in(path);
  if (!in) throw TraceError(path + ": cannot be read");
  return read_trace(in, path, limit);
}

void write_trace(std::ostream& out, std::span<const TraceRequest> requests) {
  for (const TraceRequest& request : requests) {
    nlohmann::ordered_json line;
    line["timestamp"] = request.timestamp.count();
    line["input_length"] = request.input_length;
    line["output_length"] = request.output_length;
    line["hash_ids"] = request.hash_ids;
    out << line.dump() << '\n';
  }
}

std::uint64_t scaled_input(const TraceRequest& request, std::uint64_t scale) {
  return std::max<std::uint64_t>(1, request.input_length / scale);
}

std::uint64_t scaled_output(const TraceRequest& request, std::uint64_t scale) {
  return std::max<std::uint64_t>(1, request.output_length / scale);
}

std::vector<std::int32_t> prompt_tokens(const TraceRequest& request, std::uint64_t scale,
                                        std::uint32_t vocabulary) {
  const std::uint64_t block = tokens_per_hash_block / scale;
  std::vector<std::int32_t> tokens(scaled_input(request, scale));
  for (std::uint64_t i = 0; i < tokens.size(); ++i) {
    tokens[i] =
        static_cast<std::int32_t>(random_bits(request.hash_ids[i / block], i % block) % vocabulary);
  }
  return tokens;
}

}  // namespace sample_server
