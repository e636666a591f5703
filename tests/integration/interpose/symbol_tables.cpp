#include "symbol_tables.h"

#include <fstream>
#include <map>
#include <regex>
#include <sstream>

namespace {

// A table's lines that count for `cuda_version`: the tables know one condition only.
std::vector<std::string> lines_of(const std::string& path, int cuda_version) {
  static const std::regex condition(R"(#if CUDA_VERSION >= (\d+))");
  std::istringstream text(contents_of(path));
  std::vector<std::string> lines;
  bool counts = true;
  std::smatch match;
  for (std::string line; std::getline(text, line);) {
    if (std::regex_match(line, match, condition)) {
      counts = cuda_version >= std::stoi(match[1]);
    } else if (line == "#endif") {
      counts = true;
    } else if (counts && !line.empty() && line.rfind("//", 0) != 0) {
      lines.push_back(line);
    }
  }
  return lines;
}

std::vector<std::string> words_of(const std::string& text) {
  static const std::regex word(R"(\w+)");
  return {std::sregex_token_iterator(text.begin(), text.end(), word), {}};
}

}  // namespace

SymbolTables SymbolTables::read(const std::string& symbols_def, const std::string& pass_through_def,
                                int cuda_version) {
  static const std::regex hook(R"(HOOK\((\w+), (?:optional|required), \w+, (\w+)\))");
  static const std::regex group(R"re(PASS_GROUP\((\w+), "[^"]{20,}"\))re");
  static const std::regex pass(R"(PASS\((\w+), ([\w, ]+)\))");
  SymbolTables tables;
  std::smatch match;
  for (const std::string& line : lines_of(symbols_def, cuda_version)) {
    if (std::regex_match(line, match, hook)) {
      tables.hooked.push_back({match[1], match[2]});
    } else {
      tables.strange.push_back(line);
    }
  }
  for (const std::string& line : lines_of(pass_through_def, cuda_version)) {
    if (std::regex_match(line, match, group)) {
      tables.groups.insert(match[1]);
    } else if (std::regex_match(line, match, pass)) {
      for (const std::string& name : words_of(match[2])) tables.passed.push_back({match[1], name});
    } else {
      tables.strange.push_back(line);
    }
  }
  return tables;
}

std::vector<std::string> SymbolTables::problems(const std::set<std::string>& functions) const {
  std::vector<std::string> found;
  for (const std::string& line : strange) found.push_back("not a row of a table: " + line);
  std::map<std::string, int> hooks, passes;
  for (const Entry& row : hooked) ++hooks[row.symbol];
  for (const Entry& row : passed) {
    ++passes[row.symbol];
    if (groups.count(row.group) == 0) {
      found.push_back(row.symbol + " is in the group " + row.group +
                      ", which has no PASS_GROUP that gives a reason in pass_through.def");
    }
  }
  for (const std::string& name : functions) {
    if (hooks.count(name) != 0 || passes.count(name) != 0) continue;
    found.push_back(name +
                    " is a driver function that nobody has decided about. If it allocates or frees "
                    "device memory, submits work or tells of addresses, write its hook and give it "
                    "a row in interpose/symbols.def; else name it, with a reason, in "
                    "interpose/pass_through.def");
  }
  for (const auto& [name, times] : hooks) {
    if (times > 1) found.push_back(name + " has more than one row in symbols.def: keep one");
    if (functions.count(name) == 0) {
      found.push_back(name +
                      " of symbols.def is no function of this toolkit: correct its name, or "
                      "put its row under the #if of the CUDA_VERSION that brought it");
    }
    if (passes.count(name) != 0) {
      found.push_back(name +
                      " is both hooked and passed through: remove it from symbols.def or "
                      "from pass_through.def");
    }
  }
  for (const auto& [name, times] : passes) {
    if (times > 1) found.push_back(name + " stands twice in pass_through.def: keep one");
    if (functions.count(name) == 0) {
      found.push_back(name +
                      " of pass_through.def is no function of this toolkit: correct its "
                      "name, or put it under the #if of the CUDA_VERSION that brought it");
    }
  }
  return found;
}

std::set<std::string> functions_declared_in(const std::string& text) {
  // cuGetProcAddress has an inline form, which is no function of the driver's.
  static const std::regex function(R"((inline\s+)?CUresult\s+(?:CUDAAPI\s+)?(cu[A-Z]\w*)\s*\()");
  std::set<std::string> names;
  for (std::sregex_iterator at(text.begin(), text.end(), function), end; at != end; ++at) {
    if (!(*at)[1].matched) names.insert((*at)[2]);
  }
  return names;
}

std::string contents_of(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}
