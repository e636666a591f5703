// A KV layout as a file: TOML, with what it is about at the top and a [[kernel]] for each kernel.
#pragma once

#include <string>
#include <vector>

#include "runtime/kv_layout.h"

namespace vhbm {

// A key of the file, for those who list them.
struct KvKeyRow {
  const char* name;
  const char* accepted;
  const char* text;
};
[[nodiscard]] std::vector<KvKeyRow> kv_layout_keys();
[[nodiscard]] std::vector<KvKeyRow> kv_kernel_keys();

// Takes what the text says, as though it stood in a file of that name. Returns every refusal, in
// the order of the lines, each one line that names file, line, key, value and what is accepted;
// empty when all was accepted. After a refusal `layout` is of no use.
[[nodiscard]] std::vector<std::string> read_kv_layout(const std::string& text,
                                                      const std::string& path, KvLayout& layout);

// As a file has it.
[[nodiscard]] std::string written(const KvPlace& place);
[[nodiscard]] std::string written(const KvQuantity& quantity);

}  // namespace vhbm
