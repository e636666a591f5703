// The frame is one of those that zstd's format reserves for others: a magic number, a length, and
// that many bytes, both little-endian (RFC 8878, section 3.1.2).
#include "runtime/recording/trace_header.h"

#include <nlohmann/json.hpp>

#include "runtime/address_space.h"

namespace vhbm::recording {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint32_t skippable = 0x184d2a5e;
constexpr std::string_view name = "vhbm-trace\n";
constexpr std::size_t front = 8;  // before the name
constexpr std::size_t longest = 1 << 20;

void put(std::uint32_t value, std::string& bytes) {
  for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(value >> shift);
}

std::uint32_t number_at(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (int i = 3; i >= 0; --i) {
    value = value << 8 | static_cast<unsigned char>(bytes[at + static_cast<std::size_t>(i)]);
  }
  return value;
}

Status refused(std::size_t byte, const std::string& why) {
  return {Errc::invalid_value, "byte " + std::to_string(byte) + ": " + why};
}

// A field that has to be there.
template <typename Value>
bool read(const Json& object, const char* key, Value& value, std::string* missing) {
  const auto found = object.find(key);
  const bool fits = found != object.end() &&
                    (std::is_same_v<Value, std::string>     ? found->is_string()
                     : std::is_same_v<Value, std::uint64_t> ? found->is_number_unsigned()
                                                            : found->is_number_integer());
  if (fits) value = found->get<Value>();
  if (!fits && missing->empty()) *missing = key;
  return fits;
}

}  // namespace

std::string TraceHeader::option(std::string_view name) const {
  for (const auto& [key, value] : options) {
    if (key == name) return value;
  }
  return {};
}

std::string written(const TraceHeader& header) {
  Json options = Json::object();
  for (const auto& [key, value] : header.options) options[key] = value;
  const Json object{{"version", header.version},
                    {"pid", header.pid},
                    {"command", header.command},
                    {"device", header.device},
                    {"gpu", header.gpu},
                    {"total", header.total.value},
                    {"chunk_size", header.chunk_size.value},
                    {"hbm_limit", header.hbm_limit.value},
                    {"host_limit", header.host_limit.value},
                    {"native", header.native.value},
                    {"link_to_hbm", header.link_to_hbm},
                    {"link_to_host", header.link_to_host},
                    {"started_at", header.started_at},
                    {"clock_ns", header.clock_ns},
                    {"options", options}};
  const std::string text =
      std::string(name) + object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  std::string bytes;
  put(skippable, bytes);
  put(static_cast<std::uint32_t>(text.size()), bytes);
  return bytes + text;
}

Result<TraceHeader> take_header(std::string_view& file) {
  if (file.size() < front + name.size() || number_at(file, 0) != skippable ||
      file.substr(front, name.size()) != name) {
    return refused(0, "this is no trace of vHBM's: `vhbm record` writes one");
  }
  const std::size_t size = number_at(file, 4);
  if (size < name.size() || size > longest) return refused(4, "the header has no such length");
  if (file.size() < front + size) return refused(file.size(), "the header is cut off");
  const std::size_t begin = front + name.size();
  const Json object =
      Json::parse(file.substr(begin, size - name.size()), nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return refused(begin, "the header is no JSON object");
  TraceHeader header;
  std::string missing;
  if (read(object, "version", header.version, &missing) && header.version != trace_version) {
    return refused(begin, "version " + std::to_string(header.version) +
                              " of the format is not known here: expected " +
                              std::to_string(trace_version));
  }
  read(object, "pid", header.pid, &missing);
  read(object, "command", header.command, &missing);
  read(object, "device", header.device, &missing);
  read(object, "gpu", header.gpu, &missing);
  read(object, "total", header.total.value, &missing);
  read(object, "chunk_size", header.chunk_size.value, &missing);
  read(object, "hbm_limit", header.hbm_limit.value, &missing);
  read(object, "host_limit", header.host_limit.value, &missing);
  read(object, "native", header.native.value, &missing);
  read(object, "link_to_hbm", header.link_to_hbm, &missing);
  read(object, "link_to_host", header.link_to_host, &missing);
  read(object, "started_at", header.started_at, &missing);
  read(object, "clock_ns", header.clock_ns, &missing);
  const auto options = object.find("options");
  if (options == object.end() || !options->is_object()) missing = "options";
  if (!missing.empty()) {
    return refused(begin, "the header's \"" + missing + "\" is missing or of another type");
  }
  if (header.chunk_size.value == 0 || header.chunk_size.value % base_page.value != 0) {
    return refused(begin, "the header's chunk_size = " + std::to_string(header.chunk_size.value) +
                              " is not accepted: expected a multiple of 2 MiB");
  }
  for (const auto& [key, value] : options->items()) {
    if (value.is_string()) header.options.emplace_back(key, value.get<std::string>());
  }
  file.remove_prefix(front + size);
  return header;
}

}  // namespace vhbm::recording
