// The dynamic symbol table of a loaded shared object, read in place: how a function is found whose
// name this library exports itself. Locking: none; reads memory that the loader no longer changes.
#pragma once

#include <link.h>

#include <cstdint>

namespace vhbm::interpose {

class ElfObject {
 public:
  // As the loader's list (_r_debug.r_map) has it.
  explicit ElfObject(const link_map& loaded);

  // Whether this is its DT_SONAME.
  [[nodiscard]] bool is_named(const char* soname) const;
  // The function or variable that the object itself defines under `name`, in that version; with no
  // version, the default one or one without versions. nullptr when there is none.
  [[nodiscard]] void* find(const char* name, const char* version = nullptr) const;

 private:
  [[nodiscard]] bool fits(std::uint32_t index, const char* name, const char* version) const;
  [[nodiscard]] void* find_by_gnu_hash(const char* name, const char* version) const;
  [[nodiscard]] void* find_by_hash(const char* name, const char* version) const;
  [[nodiscard]] void* address(std::uint32_t index) const;
  // The version's name by its index in DT_VERDEF, or "".
  [[nodiscard]] const char* version_name(std::uint16_t index) const;

  ElfW(Addr) base_;
  const char* strings_ = nullptr;
  const ElfW(Sym) * symbols_ = nullptr;
  const std::uint32_t* gnu_hash_ = nullptr;
  const std::uint32_t* hash_ = nullptr;
  const std::uint16_t* versions_ = nullptr;
  const char* definitions_ = nullptr;
  std::uint64_t definition_count_ = 0;
  std::uint64_t soname_ = 0;
};

}  // namespace vhbm::interpose
