// Keys are two tables. Every entry is looked at, also after a refusal, so that a user mends a file
// in one go; what a kernel's form needs is asked once all of its keys are read.
#include "runtime/kv_layout_file.h"

#include <algorithm>
#include <charconv>

#include "runtime/file_refusals.h"
#include "runtime/option_forms.h"
#include "runtime/toml_document.h"
#include "runtime/words.h"

namespace vhbm {
namespace {

constexpr std::uint64_t most_argument = 4095, most_offset = 32'767;
constexpr const char* kernel_table = "kernel";

constexpr const char* accepted_place =
    "where an argument is, such as \"2\" (the third), or \"5 + 40\" (40 bytes into the sixth)";
constexpr const char* accepted_quantity =
    "a number, or a product such as \"argument 3 * argument 5 + 52: int64 * 2\" of numbers, "
    "arguments (int32, unless a type follows) and grid.x, grid.y or grid.z";
constexpr const char* accepted_text = "some text";
constexpr const char* accepted_number_type = "int32, uint32, int64 or uint64";

bool read_number(std::string_view text, std::uint64_t most, std::uint64_t& value) {
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  return !text.empty() && read.ec == std::errc() && read.ptr == end && value <= most;
}

// Up to the letter, and what follows it in `text`; all of it where there is none.
std::string_view cut(std::string_view& text, char letter, bool* found = nullptr) {
  const std::size_t at = text.find(letter);
  const std::string_view before = trimmed(text.substr(0, at));
  if (found != nullptr) *found = at != text.npos;
  text = at == text.npos ? std::string_view() : trimmed(text.substr(at + 1));
  return before;
}

bool read_place(std::string_view text, KvPlace& place) {
  std::uint64_t argument = 0, offset = 0;
  bool has_offset = false;
  const std::string_view first = cut(text, '+', &has_offset);
  if (!read_number(first, most_argument, argument)) return false;
  if (has_offset && !read_number(text, most_offset, offset)) return false;
  place = {static_cast<std::uint32_t>(argument), static_cast<std::uint32_t>(offset)};
  return true;
}

template <typename Names, typename Value>
bool read_word(std::string_view text, const Names& names, Value& value) {
  const auto found = std::find(names.begin(), names.end(), text);
  if (found == names.end()) return false;
  value = static_cast<Value>(found - names.begin());
  return true;
}

bool read_factor(std::string_view text, KvQuantity::Factor& factor) {
  using Kind = KvQuantity::Factor::Kind;
  constexpr std::string_view argument = "argument";
  if (text == "grid.x" || text == "grid.y" || text == "grid.z") {
    factor.kind = text == "grid.x" ? Kind::grid_x : text == "grid.y" ? Kind::grid_y : Kind::grid_z;
    return true;
  }
  if (!text.starts_with(argument)) return read_number(text, UINT64_MAX, factor.number);
  factor.kind = Kind::argument;
  bool has_type = false;
  std::string_view type = trimmed(text.substr(argument.size()));
  const std::string_view place = cut(type, ':', &has_type);
  return read_place(place, factor.place) &&
         (!has_type || read_word(type, kv_number_names, factor.type));
}

bool read_quantity(std::string_view text, KvQuantity& quantity) {
  for (bool more = true; more;) {
    KvQuantity::Factor factor;
    if (!read_factor(cut(text, '*', &more), factor)) return false;
    quantity.factors.push_back(factor);
  }
  return true;
}

bool read_text(std::string_view text, std::string& value) {
  value = text;
  return !value.empty();
}

// Of a 4- or 8-byte integer in device memory; the sign is the kernel's to see.
bool read_entry(std::string_view text, KvNumber& type) {
  return read_word(text, kv_number_names, type);
}

bool read_optional_place(std::string_view text, std::optional<KvPlace>& place) {
  return read_place(text, place.emplace());
}

KvQuantity::Factor one_of() {
  KvQuantity::Factor factor;
  factor.number = 1;
  return factor;
}

struct LayoutKey {
  KvKeyRow row;
  bool (*read)(std::string_view text, KvLayout& layout);
};
const LayoutKey layout_keys[] = {
    {{"server", accepted_text, "whose kernels these are"},
     [](std::string_view text, KvLayout& layout) { return read_text(text, layout.server); }},
    {{"version", accepted_text, "of it, that they were read from"},
     [](std::string_view text, KvLayout& layout) { return read_text(text, layout.version); }},
    {{"tried", Form<bool>::accepted, "whether it was tried with the real server"},
     [](std::string_view text, KvLayout& layout) { return Form<bool>::read(text, layout.tried); }},
    {{"cure", accepted_text, "what to set where its blocks lie too scattered to be moved"},
     [](std::string_view text, KvLayout& layout) { return read_text(text, layout.cure); }},
};

struct KernelKey {
  KvKeyRow row;
  std::string_view forms;  // that have it, by their first letters
  std::string_view needs;  // that need it
  bool (*read)(std::string_view text, KvKernel& kernel);
};
#define PLACE(member) \
  [](std::string_view text, KvKernel& kernel) { return read_optional_place(text, kernel.member); }
#define QUANTITY(member) \
  [](std::string_view text, KvKernel& kernel) { return read_quantity(text, kernel.member); }
#define ENTRY(member) \
  [](std::string_view text, KvKernel& kernel) { return read_entry(text, kernel.member); }
const KernelKey kernel_keys[] = {
    {{"name", accepted_text, "the kernel's, as the driver tells it; * stands for any letters"},
     "tspc",
     "tspc",
     [](std::string_view text, KvKernel& kernel) { return read_text(text, kernel.name); }},
    {{"parameters", "a number", "how many it must have to be meant"},
     "tspc",
     "",
     [](std::string_view text, KvKernel& kernel) {
       return read_number(text, most_argument, kernel.parameters.emplace());
     }},
    {{"form", "table, slots, pages or contiguous", "how it says which blocks it uses"},
     "tspc",
     "tspc",
     [](std::string_view text, KvKernel& kernel) {
       return read_word(text, kv_form_names, kernel.form);
     }},
    {{"keys", accepted_place, "the cache, or that of keys: the address of block 0"},
     "tspc",
     "tspc",
     [](std::string_view text, KvKernel& kernel) { return read_place(text, kernel.keys); }},
    {{"values", accepted_place, "that of values, where it is another"}, "tspc", "", PLACE(values)},
    {{"block_bytes", accepted_quantity, "bytes of a block"}, "tspc", "tspc", QUANTITY(block_bytes)},
    {{"block_stride", accepted_quantity, "bytes from a block to the next; else block_bytes"},
     "tspc",
     "",
     QUANTITY(block_stride)},
    {{"value_bytes", accepted_quantity, "block_bytes of values, where they differ"},
     "tspc",
     "",
     QUANTITY(value_bytes)},
    {{"value_stride", accepted_quantity, "block_stride of values, where they differ"},
     "tspc",
     "",
     QUANTITY(value_stride)},
    {{"block_tokens", accepted_quantity, "tokens of a block"}, "ts", "ts", QUANTITY(block_tokens)},
    {{"table", accepted_place, "the block table: a line of block numbers for each sequence"},
     "t",
     "t",
     PLACE(table)},
    {{"table_type", accepted_number_type, "what it is made of; else int32"},
     "t",
     "",
     ENTRY(table_type)},
    {{"table_stride", accepted_quantity, "numbers from a line to the next"},
     "t",
     "t",
     QUANTITY(table_stride)},
    {{"lengths", accepted_place, "of the sequences, in order"}, "t", "t", PLACE(lengths)},
    {{"length_type", accepted_number_type, "what they are made of; else int32"},
     "t",
     "",
     ENTRY(length_type)},
    {{"lengths_are", "tokens, last_position or only_position",
      "so many tokens, up to this position, or this position alone; else tokens"},
     "t",
     "",
     [](std::string_view text, KvKernel& kernel) {
       return read_word(text, kv_length_names, kernel.lengths_are);
     }},
    {{"lines", accepted_place, "int32s: which line of the table each sequence has; else its own"},
     "t",
     "",
     PLACE(lines)},
    {{"slots", accepted_place, "of the tokens that are written: block * block_tokens + place"},
     "s",
     "s",
     PLACE(table)},
    {{"slot_type", accepted_number_type, "what they are made of; else int64"},
     "s",
     "",
     ENTRY(table_type)},
    {{"indices", accepted_place, "block numbers of all sequences, one after the other"},
     "p",
     "p",
     PLACE(table)},
    {{"indptr", accepted_place, "where in the indices each sequence begins, and the last ends"},
     "p",
     "p",
     PLACE(lengths)},
    {{"index_type", accepted_number_type, "what both are made of; else int32"},
     "p",
     "",
     ENTRY(table_type)},
    {{"sequences", accepted_quantity,
      "how many there are at most; of slots: tokens; of contiguous: blocks, else 1"},
     "tspc",
     "tsp",
     QUANTITY(sequences)},
    {{"sequences_at", accepted_place, "an int32 in device memory that says how many"},
     "tsp",
     "",
     PLACE(sequences_at)},
};
#undef PLACE
#undef QUANTITY
#undef ENTRY

class Reader {
 public:
  Reader(const std::string& path, KvLayout& layout) : layout_(layout), refusals_(path) {}

  void take(const TomlDocument& document) {
    for (const TomlEntry& entry : document.entries) take_entry(entry);
    for (const TomlTable& table : document.tables) {
      if (table.name == kernel_table) {
        take_kernel(table);
      } else {
        refuse(table.line, "[[" + table.name + "]] is not known: expected [[kernel]]");
      }
    }
    if (refusals_.count() != 0) return;
    if (layout_.server.empty()) refuse(0, "server is missing: expected " + named("server"));
    if (layout_.kernels.empty()) refuse(0, "there is no [[kernel]]: expected one at least");
  }

  void refuse(std::size_t line, const std::string& what) { refusals_.add(line, what); }
  [[nodiscard]] std::vector<std::string> refusals() const { return refusals_.told(); }

 private:
  static std::string named(std::string_view key) {
    for (const LayoutKey& one : layout_keys) {
      if (one.row.name == key) return one.row.text;
    }
    return "a value";
  }

  // Reads an entry into what it is a key of, or says why not.
  template <typename Keys, typename Into>
  void take_entry(const TomlEntry& entry, const Keys& keys, const char* of, Into& into) {
    for (const auto& key : keys) {
      if (entry.key != key.row.name) continue;
      if (!entry.value || !key.read(trimmed(*entry.value), into)) {
        refuse(entry.line, entry.key + " = " + entry.written + " is not accepted: expected " +
                               key.row.accepted);
      }
      return;
    }
    std::vector<std::string> names;
    for (const auto& key : keys) names.emplace_back(key.row.name);
    const auto nearest = nearest_word(entry.key, names);
    refuse(entry.line,
           "key " + shown(entry.key) + " of " + of + " is not known: " +
               (nearest ? "did you mean " + *nearest + "?" : "expected " + joined_with_or(names)));
  }

  void take_entry(const TomlEntry& entry) {
    if (entry.key == kernel_table) {
      refuse(entry.line, "kernel is a list of tables: each begins with the line [[kernel]]");
      return;
    }
    take_entry(entry, layout_keys, "a KV layout", layout_);
  }

  void take_kernel(const TomlTable& table) {
    KvKernel kernel;
    kernel.line = table.line;
    const std::size_t refused_before = refusals_.count();
    for (const TomlEntry& entry : table.entries) {
      // What slots are made of, unless they say.
      if (entry.key == "slots") kernel.table_type = KvNumber::int64;
    }
    for (const TomlEntry& entry : table.entries) {
      take_entry(entry, kernel_keys, "[[kernel]]", kernel);
    }
    if (refusals_.count() != refused_before) return;
    if (kernel.form == KvForm::pages) kernel.length_type = kernel.table_type;
    look_at_form(table, kernel);
    if (!kernel.block_stride.given()) kernel.block_stride = kernel.block_bytes;
    if (!kernel.value_bytes.given()) kernel.value_bytes = kernel.block_bytes;
    if (!kernel.value_stride.given()) kernel.value_stride = kernel.block_stride;
    if (!kernel.sequences.given()) kernel.sequences.factors.push_back(one_of());
    layout_.kernels.push_back(std::move(kernel));
  }

  void look_at_form(const TomlTable& table, const KvKernel& kernel) {
    const std::string form = kv_form_names[static_cast<std::size_t>(kernel.form)];
    const auto entry_of = [&](const char* name) {
      return std::find_if(table.entries.begin(), table.entries.end(),
                          [&](const TomlEntry& entry) { return entry.key == name; });
    };
    if (entry_of("form") == table.entries.end()) {
      refuse(table.line, "form of [[kernel]] is missing: expected " +
                             joined_with_or(std::vector<std::string>(kv_form_names.begin(),
                                                                     kv_form_names.end())));
      return;
    }
    for (const KernelKey& key : kernel_keys) {
      const auto entry = entry_of(key.row.name);
      if (entry == table.entries.end() && key.needs.find(form[0]) != key.needs.npos) {
        refuse(table.line, std::string(key.row.name) +
                               " of [[kernel]] is missing, which form = \"" + form +
                               "\" needs: " + key.row.text);
      }
      if (entry != table.entries.end() && key.forms.find(form[0]) == key.forms.npos) {
        refuse(entry->line, entry->key + " is no key of a [[kernel]] of form = \"" + form + "\"");
      }
    }
  }

  KvLayout& layout_;
  FileRefusals refusals_;
};

}  // namespace

std::vector<KvKeyRow> kv_layout_keys() {
  std::vector<KvKeyRow> rows;
  for (const LayoutKey& key : layout_keys) rows.push_back(key.row);
  return rows;
}

std::vector<KvKeyRow> kv_kernel_keys() {
  std::vector<KvKeyRow> rows;
  for (const KernelKey& key : kernel_keys) rows.push_back(key.row);
  return rows;
}

std::vector<std::string> read_kv_layout(const std::string& text, const std::string& path,
                                        KvLayout& layout) {
  layout.file = path;
  Reader reader(path, layout);
  const TomlParse parse = parse_toml(text);
  if (parse.error) {
    reader.refuse(parse.error->line, parse.error->text);
  } else {
    reader.take(parse.document);
  }
  return reader.refusals();
}

std::string written(const KvPlace& place) {
  return std::to_string(place.argument) +
         (place.offset == 0 ? "" : " + " + std::to_string(place.offset));
}

std::string written(const KvQuantity& quantity) {
  using Kind = KvQuantity::Factor::Kind;
  std::string text;
  for (const KvQuantity::Factor& factor : quantity.factors) {
    if (!text.empty()) text += " * ";
    switch (factor.kind) {
      case Kind::number:
        text += std::to_string(factor.number);
        break;
      case Kind::argument:
        text += "argument " + written(factor.place);
        if (factor.type != KvNumber::int32) {
          text += std::string(": ") + kv_number_names[static_cast<std::size_t>(factor.type)];
        }
        break;
      case Kind::grid_x:
        text += "grid.x";
        break;
      case Kind::grid_y:
        text += "grid.y";
        break;
      case Kind::grid_z:
        text += "grid.z";
        break;
    }
  }
  return text;
}

}  // namespace vhbm
