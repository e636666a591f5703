// The formats are those of the ELF specification (System V gABI) and of the GNU hash section. Runs
// before anything else of the process may be ready, a sanitizer's interceptors included: no
// allocation and no library call.
#include "interpose/elf_object.h"

#include <elf.h>

namespace vhbm::interpose {
namespace {

constexpr std::uint16_t hidden_version = 0x8000;
constexpr std::uint16_t first_named_version = 2;  // 0 is local, 1 the object itself

bool same(const char* a, const char* b) {
  while (*a == *b && *a != '\0') {
    ++a;
    ++b;
  }
  return *a == *b;
}

std::uint32_t gnu_hash_of(const char* name) {
  std::uint32_t hash = 5381;
  for (; *name != '\0'; ++name) hash = hash * 33 + static_cast<unsigned char>(*name);
  return hash;
}

std::uint32_t hash_of(const char* name) {
  std::uint32_t hash = 0;
  for (; *name != '\0'; ++name) {
    hash = (hash << 4) + static_cast<unsigned char>(*name);
    const std::uint32_t high = hash & 0xf0000000;
    hash = (hash ^ (high >> 24)) & ~high;
  }
  return hash;
}

}  // namespace

ElfObject::ElfObject(const link_map& loaded) : base_(loaded.l_addr) {
  const ElfW(Dyn)* entry = loaded.l_ld;
  if (entry == nullptr) return;
  // glibc rewrites these entries into addresses, but not in objects that it maps read-only (the
  // vDSO).
  const auto at = [this](ElfW(Addr) value) { return value < base_ ? base_ + value : value; };
  for (; entry->d_tag != DT_NULL; ++entry) {
    const ElfW(Addr) value = entry->d_un.d_ptr;
    switch (entry->d_tag) {
      case DT_STRTAB:
        strings_ = reinterpret_cast<const char*>(at(value));
        break;
      case DT_SYMTAB:
        symbols_ = reinterpret_cast<const ElfW(Sym)*>(at(value));
        break;
      case DT_GNU_HASH:
        gnu_hash_ = reinterpret_cast<const std::uint32_t*>(at(value));
        break;
      case DT_HASH:
        hash_ = reinterpret_cast<const std::uint32_t*>(at(value));
        break;
      case DT_VERSYM:
        versions_ = reinterpret_cast<const std::uint16_t*>(at(value));
        break;
      case DT_VERDEF:
        definitions_ = reinterpret_cast<const char*>(at(value));
        break;
      case DT_VERDEFNUM:
        definition_count_ = value;
        break;
      case DT_SONAME:
        soname_ = value;
        break;
      default:
        break;
    }
  }
}

bool ElfObject::is_named(const char* soname) const {
  return strings_ != nullptr && soname_ != 0 && same(strings_ + soname_, soname);
}

void* ElfObject::find(const char* name, const char* version) const {
  if (strings_ == nullptr || symbols_ == nullptr) return nullptr;
  if (gnu_hash_ != nullptr) return find_by_gnu_hash(name, version);
  return hash_ == nullptr ? nullptr : find_by_hash(name, version);
}

void* ElfObject::find_by_gnu_hash(const char* name, const char* version) const {
  const std::uint32_t buckets = gnu_hash_[0], first = gnu_hash_[1], bloom_words = gnu_hash_[2];
  if (buckets == 0) return nullptr;
  const auto* bloom = reinterpret_cast<const ElfW(Addr)*>(gnu_hash_ + 4);
  const auto* bucket = reinterpret_cast<const std::uint32_t*>(bloom + bloom_words);
  const std::uint32_t* chain = bucket + buckets;
  const std::uint32_t hash = gnu_hash_of(name);
  std::uint32_t index = bucket[hash % buckets];
  if (index < first) return nullptr;
  for (;; ++index) {
    const std::uint32_t link = chain[index - first];
    if ((link | 1) == (hash | 1) && fits(index, name, version)) return address(index);
    if ((link & 1) != 0) return nullptr;
  }
}

void* ElfObject::find_by_hash(const char* name, const char* version) const {
  const std::uint32_t buckets = hash_[0];
  if (buckets == 0) return nullptr;
  const std::uint32_t* chain = hash_ + 2 + buckets;
  for (std::uint32_t index = hash_[2 + hash_of(name) % buckets]; index != STN_UNDEF;
       index = chain[index]) {
    if (fits(index, name, version)) return address(index);
  }
  return nullptr;
}

bool ElfObject::fits(std::uint32_t index, const char* name, const char* version) const {
  const ElfW(Sym)& symbol = symbols_[index];
  const unsigned type = symbol.st_info & 0xf;
  if (symbol.st_shndx == SHN_UNDEF || type > STT_FUNC) return false;
  if (!same(strings_ + symbol.st_name, name)) return false;
  const std::uint16_t own = versions_ == nullptr ? 1 : versions_[index];
  if (version == nullptr) return (own & hidden_version) == 0;
  return same(version_name(own & ~hidden_version), version);
}

const char* ElfObject::version_name(std::uint16_t index) const {
  if (definitions_ == nullptr || index < first_named_version) return "";
  const char* at = definitions_;
  for (std::uint64_t i = 0; i < definition_count_; ++i) {
    const auto* definition = reinterpret_cast<const ElfW(Verdef)*>(at);
    if ((definition->vd_ndx & ~hidden_version) == index) {
      const auto* name = reinterpret_cast<const ElfW(Verdaux)*>(at + definition->vd_aux);
      return strings_ + name->vda_name;
    }
    if (definition->vd_next == 0) break;
    at += definition->vd_next;
  }
  return "";
}

void* ElfObject::address(std::uint32_t index) const {
  return reinterpret_cast<void*>(base_ + symbols_[index].st_value);
}

}  // namespace vhbm::interpose
