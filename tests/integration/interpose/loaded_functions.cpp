// dladdr is not interposed; the driver's functions are read out of its ELF image.
#include "loaded_functions.h"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <cstring>

#include "interpose/elf_object.h"

namespace {

struct Search {
  const char* soname;
  const char* symbol;
  void* found;
};

int look(dl_phdr_info* info, std::size_t, void* data) {
  auto* search = static_cast<Search*>(data);
  const vhbm::interpose::ElfObject object(*info);
  if (std::strcmp(object.soname(), search->soname) != 0) return 0;
  search->found = object.find(search->symbol);
  return 1;
}

}  // namespace

Owner owner_of(const void* function) {
  Dl_info info{};
  if (function == nullptr || dladdr(function, &info) == 0) return {};
  const std::string path = info.dli_fname;
  return {path.substr(path.rfind('/') + 1), info.dli_sname == nullptr ? "" : info.dli_sname};
}

void* defined_in(const char* soname, const char* symbol) {
  Search search{soname, symbol, nullptr};
  dl_iterate_phdr(&look, &search);
  return search.found;
}

const std::vector<std::string>& hooked_symbols() {
  static const std::vector<std::string> symbols = {
#define HOOK(group, need, name, symbol) #symbol,
#include "interpose/symbols.def"
#undef HOOK
  };
  return symbols;
}

const std::vector<std::string>& hooked_names() {
  static const std::vector<std::string> names = {
#define HOOK(group, need, name, symbol) #name,
#include "interpose/symbols.def"
#undef HOOK
  };
  return names;
}

bool is_hooked(const std::string& symbol) {
  const auto& symbols = hooked_symbols();
  return std::find(symbols.begin(), symbols.end(), symbol) != symbols.end();
}

bool is_hooked_name(const std::string& name) {
  const auto& names = hooked_names();
  return std::find(names.begin(), names.end(), name) != names.end();
}
