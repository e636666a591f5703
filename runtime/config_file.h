// The configuration file: TOML, its keys the options of options.def, and [[tag]] for rules of what
// regions hold.
#pragma once

#include <string>
#include <vector>

#include "runtime/options.h"

namespace vhbm {

// Takes what the file says into `options`. Returns every refusal, in the order of the lines, each
// one line that names file, line, key, value and what is accepted; empty when all was accepted.
// After a refusal `options` is of no use.
[[nodiscard]] std::vector<std::string> read_config_file(const std::string& path,
                                                        const KnownWords& words, Options& options);
// The same of a text, as though it stood in a file of that name.
[[nodiscard]] std::vector<std::string> read_config_text(const std::string& text,
                                                        const std::string& path,
                                                        const KnownWords& words, Options& options);

}  // namespace vhbm
