// How a server's kernels find their KV: which of a kernel's arguments is the cache, the block table
// and the sequence lengths, and how large a block is. Values only, read from a file by
// kv_layout_file.h. What a layout says is a prediction: where it is wrong, chunks are thought cold
// that are not, and nothing else.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vhbm {

// Where a value stands: so many bytes into one of a kernel's parameters.
struct KvPlace {
  std::uint32_t argument = 0, offset = 0;
  bool operator==(const KvPlace&) const = default;
};

enum class KvNumber : std::uint8_t { int32, uint32, int64, uint64 };
inline constexpr std::array<const char*, 4> kv_number_names = {"int32", "uint32", "int64",
                                                               "uint64"};
[[nodiscard]] constexpr std::uint32_t size_of(KvNumber number) {
  return number == KvNumber::int32 || number == KvNumber::uint32 ? 4 : 8;
}

// One launch, as far as quantities are made of it.
struct KvLaunchShape {
  void** parameters;
  std::array<std::uint32_t, 3> grid;
};

// A number that a launch says: a product of numbers, arguments and dimensions of the grid.
struct KvQuantity {
  struct Factor {
    enum class Kind : std::uint8_t { number, argument, grid_x, grid_y, grid_z };
    Kind kind = Kind::number;
    KvNumber type = KvNumber::int32;  // of an argument
    KvPlace place;                    // of an argument
    std::uint64_t number = 0;
    bool operator==(const Factor&) const = default;
  };
  std::vector<Factor> factors;  // none: it was not given

  [[nodiscard]] bool given() const { return !factors.empty(); }
  // nullopt where a factor is negative, or the product is beyond 64 bits.
  [[nodiscard]] std::optional<std::uint64_t> of(const KvLaunchShape& launch) const;
  bool operator==(const KvQuantity&) const = default;
};

// How a kernel says which blocks it uses.
enum class KvForm : std::uint8_t {
  table,      // a line of block numbers for each sequence, as many as its length needs
  slots,      // one token's place for each token, negative for none
  pages,      // block numbers of all sequences in one array, and where each sequence's begin
  contiguous  // each sequence's KV lies in one piece
};
inline constexpr std::array<const char*, 4> kv_form_names = {"table", "slots", "pages",
                                                             "contiguous"};

// What an entry of the lengths means.
enum class KvLengths : std::uint8_t {
  tokens,         // so many tokens, from the first
  last_position,  // all up to this one
  only_position   // this one alone
};
inline constexpr std::array<const char*, 3> kv_length_names = {"tokens", "last_position",
                                                               "only_position"};

// One kernel, or all whose names match.
struct KvKernel {
  std::string name;                         // a pattern: * stands for any letters
  std::optional<std::uint64_t> parameters;  // how many it has to have
  KvForm form = KvForm::table;
  KvPlace keys;
  std::optional<KvPlace> values;  // none: a block of the first holds both
  KvQuantity block_bytes, block_stride;
  KvQuantity value_bytes, value_stride;  // where values differ from keys in these
  KvQuantity block_tokens;
  std::optional<KvPlace> table;  // block numbers; slots of tokens
  KvNumber table_type = KvNumber::int32;
  KvQuantity table_stride;         // entries from a line to the next
  std::optional<KvPlace> lengths;  // lengths or positions; where each sequence's pages begin
  KvNumber length_type = KvNumber::int32;
  KvLengths lengths_are = KvLengths::tokens;
  KvQuantity sequences;                 // at most so many
  std::optional<KvPlace> sequences_at;  // an int32 in device memory that says how many
  std::optional<KvPlace> lines;         // int32: which line of the table each sequence has
  std::size_t line = 0;                 // of the file
};

// A file.
struct KvLayout {
  std::string file;     // its path, or the name of one that comes with vHBM
  std::string server;   // whose kernels these are
  std::string version;  // that they were read from
  bool tried = false;   // with a real server
  std::string cure;     // what to set where blocks lie too scattered to be moved; may be empty
  std::vector<KvKernel> kernels;
};

// Whether `name` is what `pattern` describes, in which * stands for any letters.
[[nodiscard]] bool matches(std::string_view pattern, std::string_view name);

// What of the kernel does not fit a function whose parameters have these sizes, in words; empty
// when all does.
[[nodiscard]] std::string misfit(const KvKernel& kernel, const std::vector<std::uint32_t>& sizes);

}  // namespace vhbm
