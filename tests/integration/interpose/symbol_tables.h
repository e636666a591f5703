// The tables of hooked and of passed-through functions, read as text, so that a check can try what
// it would say of other tables; and that check.
#pragma once

#include <set>
#include <string>
#include <vector>

struct SymbolTables {
  struct Entry {
    std::string group, symbol;
  };
  std::vector<Entry> hooked;         // rows of symbols.def
  std::vector<Entry> passed;         // names of pass_through.def
  std::set<std::string> groups;      // of pass_through.def
  std::vector<std::string> strange;  // lines that are none of a table's

  // What stands in the files for this CUDA_VERSION.
  static SymbolTables read(const std::string& symbols_def, const std::string& pass_through_def,
                           int cuda_version);

  // What is undecided, decided twice, or about no function, each with what to do. `functions` are
  // those of the driver API.
  [[nodiscard]] std::vector<std::string> problems(const std::set<std::string>& functions) const;
};

// The functions that a header's text declares.
std::set<std::string> functions_declared_in(const std::string& text);

std::string contents_of(const std::string& path);
