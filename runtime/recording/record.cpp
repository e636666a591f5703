#include "runtime/recording/record.h"

#include <array>

namespace vhbm::recording {
namespace {

// Calls `field` with the name and the value of each field, in the table's order.
#define NUMBER(name) field(#name, record.name);
#define TEXT(name) field(#name, record.name);
#define NUMBERS(name) field(#name, record.name);
#define RECORD(kind, fields)                                    \
  template <typename Row, typename Field>                       \
  void each_field_of(const kind*, Row& record, Field&& field) { \
    fields                                                      \
  }
#include "runtime/recording/record_kinds.def"
#undef RECORD
#undef NUMBER
#undef TEXT
#undef NUMBERS

template <typename Row, typename Field>
void each_field(Row& record, Field&& field) {
  each_field_of(static_cast<const std::remove_const_t<Row>*>(nullptr), record, field);
}

void put(std::uint64_t value, std::string& bytes) {
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  bytes += static_cast<char>(value);
}

// Small differences in either direction become small numbers.
std::uint64_t difference(std::uint64_t from, std::uint64_t to) {
  const auto step = static_cast<std::int64_t>(to - from);
  return static_cast<std::uint64_t>(step) << 1 ^ static_cast<std::uint64_t>(step >> 63);
}
std::uint64_t moved_by(std::uint64_t from, std::uint64_t difference) {
  return from + ((difference >> 1) ^ (~(difference & 1) + 1));
}

struct Putter {
  std::string& bytes;

  void operator()(const char*, std::uint64_t value) const { put(value, bytes); }
  void operator()(const char*, const std::string& text) const {
    put(text.size(), bytes);
    bytes += text;
  }
  void operator()(const char*, const std::vector<std::uint64_t>& list) const {
    put(list.size(), bytes);
    std::uint64_t before = 0;
    for (const std::uint64_t one : list) {
      put(difference(before, one), bytes);
      before = one;
    }
  }
};

bool get(std::string_view& bytes, std::uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    value |= std::uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

// Fields that an older version did not write keep what they are by default.
struct Getter {
  std::string_view& bytes;
  const char* failed = nullptr;

  void operator()(const char* name, std::uint64_t& value) {
    if (failed == nullptr && !bytes.empty() && !get(bytes, value)) failed = name;
  }
  void operator()(const char* name, std::string& text) {
    std::uint64_t size = 0;
    if (failed != nullptr || bytes.empty()) return;
    if (!get(bytes, size) || size > bytes.size()) {
      failed = name;
      return;
    }
    text = bytes.substr(0, size);
    bytes.remove_prefix(size);
  }
  void operator()(const char* name, std::vector<std::uint64_t>& list) {
    std::uint64_t size = 0, one = 0, step = 0;
    if (failed != nullptr || bytes.empty()) return;
    // Each takes a byte at least, so that a wrong size cannot ask for much memory.
    bool whole = get(bytes, size) && size <= bytes.size();
    if (whole) list.reserve(size);
    for (; whole && size != 0; --size) {
      whole = get(bytes, step);
      list.push_back(one = moved_by(one, step));
    }
    if (!whole) failed = name;
  }
};

using Take = const char* (*)(std::string_view&, Content&);

template <typename Kind>
const char* take_content(std::string_view& bytes, Content& content) {
  Getter getter{bytes};
  each_field(content.emplace<Kind>(), getter);
  return getter.failed;
}

constexpr Take takes[] = {
    nullptr,
#define NUMBER(name)
#define TEXT(name)
#define NUMBERS(name)
#define RECORD(kind, fields) &take_content<kind>,
#include "runtime/recording/record_kinds.def"
#undef RECORD
#undef NUMBER
#undef TEXT
#undef NUMBERS
};

}  // namespace

void append(const Record& record, std::string& bytes) {
  const std::size_t begin = bytes.size();
  put(static_cast<std::uint64_t>(record.at.count()), bytes);
  std::visit(
      [&](const auto& content) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(content)>, std::monostate>) {
          each_field(content, Putter{bytes});
        }
      },
      record.content);
  // What stands in front, now that its length is known.
  std::string front;
  put(record.content.index(), front);
  put(bytes.size() - begin, front);
  bytes.insert(begin, front);
}

bool take(std::string_view& bytes, Record& record, std::string* why_not) {
  std::uint64_t kind = 0, size = 0, at = 0;
  if (!get(bytes, kind) || !get(bytes, size) || size > bytes.size()) {
    *why_not = "a record is cut off";
    return false;
  }
  std::string_view payload = bytes.substr(0, size);
  bytes.remove_prefix(size);
  const bool known = kind != 0 && kind < std::size(takes);
  if (!get(payload, at)) {
    *why_not = std::string("a record of kind ") + kind_names[known ? kind : 0] + " has no time";
    return false;
  }
  record.at = std::chrono::nanoseconds(at);
  record.content = {};
  if (!known) return true;
  if (const char* const failed = takes[kind](payload, record.content); failed != nullptr) {
    *why_not = std::string("a record of kind ") + kind_names[kind] + ": its field " + failed +
               " is cut off";
    return false;
  }
  return true;
}

}  // namespace vhbm::recording
