// dladdr is not interposed; the driver's functions are read out of its ELF image.
#include "loaded_functions.h"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>

#include "interpose/elf_object.h"

Owner owner_of(const void* function) {
  Dl_info info{};
  if (function == nullptr || dladdr(function, &info) == 0) return {};
  const std::string path = info.dli_fname;
  return {path.substr(path.rfind('/') + 1), info.dli_sname == nullptr ? "" : info.dli_sname};
}

void* defined_in(const char* soname, const char* symbol) {
  for (const link_map* loaded = _r_debug.r_map; loaded != nullptr; loaded = loaded->l_next) {
    const vhbm::interpose::ElfObject object(*loaded);
    if (object.is_named(soname)) return object.find(symbol);
  }
  return nullptr;
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

bool is_passed_through(const std::string& name) {
  static const std::string rows =
#define PASS_GROUP(group, reason)
#define PASS(group, ...) " " #__VA_ARGS__ ","
#include "interpose/pass_through.def"
#undef PASS
#undef PASS_GROUP
      "";
  return rows.find(" " + name + ",") != std::string::npos;
}

bool is_hooked(const std::string& symbol) {
  const auto& symbols = hooked_symbols();
  return std::find(symbols.begin(), symbols.end(), symbol) != symbols.end();
}

bool is_hooked_name(const std::string& name) {
  const auto& names = hooked_names();
  return std::find(names.begin(), names.end(), name) != names.end();
}
