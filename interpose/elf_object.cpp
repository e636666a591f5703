#include "interpose/elf_object.h"

#include <elf.h>
#include <link.h>

#include <cstring>

namespace vhbm::interpose {
namespace {

constexpr std::uint16_t kHiddenVersion = 0x8000;  // a version that only an explicit request gets

struct Search {
  const char* file_name;
  std::uintptr_t base;
  const void* dynamic;
};

int match(dl_phdr_info* info, std::size_t, void* argument) {
  auto* search = static_cast<Search*>(argument);
  const char* slash = std::strrchr(info->dlpi_name, '/');
  if (std::strcmp(slash == nullptr ? info->dlpi_name : slash + 1, search->file_name) != 0) return 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    if (info->dlpi_phdr[i].p_type != PT_DYNAMIC) continue;
    search->base = info->dlpi_addr;
    search->dynamic = reinterpret_cast<const void*>(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    return 1;
  }
  return 0;
}

std::uint32_t gnu_hash_of(const char* name) {
  std::uint32_t hash = 5381;
  for (; *name != 0; ++name) hash = hash * 33 + static_cast<unsigned char>(*name);
  return hash;
}

}  // namespace

std::optional<ElfObject> ElfObject::find_loaded(const char* file_name) {
  Search search{file_name, 0, nullptr};
  ElfObject object;
  if (dl_iterate_phdr(&match, &search) == 0 || !object.read(search.base, search.dynamic)) {
    return std::nullopt;
  }
  return object;
}

bool ElfObject::read(std::uintptr_t base, const void* dynamic) {
  base_ = base;
  for (auto* entry = static_cast<const ElfW(Dyn)*>(dynamic); entry->d_tag != DT_NULL; ++entry) {
    // glibc relocates these addresses in place, except on a few architectures.
    const std::uintptr_t address =
        entry->d_un.d_ptr < base ? entry->d_un.d_ptr + base : entry->d_un.d_ptr;
    switch (entry->d_tag) {
      case DT_SYMTAB: symbols_ = reinterpret_cast<const void*>(address); break;
      case DT_STRTAB: strings_ = reinterpret_cast<const char*>(address); break;
      case DT_VERSYM: versions_ = reinterpret_cast<const std::uint16_t*>(address); break;
      case DT_GNU_HASH: gnu_hash_ = reinterpret_cast<const std::uint32_t*>(address); break;
      default: break;
    }
  }
  return symbols_ != nullptr && strings_ != nullptr && gnu_hash_ != nullptr;
}

// The GNU hash table: buckets name the first symbol of a chain, whose last hash has its low bit set.
void* ElfObject::function(const char* name) const {
  const std::uint32_t buckets = gnu_hash_[0], first_symbol = gnu_hash_[1], bloom_words = gnu_hash_[2];
  const auto* bucket = gnu_hash_ + 4 + bloom_words * (sizeof(ElfW(Addr)) / sizeof(std::uint32_t));
  const auto* chain = bucket + buckets;
  const std::uint32_t hash = gnu_hash_of(name);
  const auto* symbols = static_cast<const ElfW(Sym)*>(symbols_);
  std::uint32_t index = bucket[hash % buckets];
  if (index < first_symbol) return nullptr;
  for (;; ++index) {
    const std::uint32_t entry = chain[index - first_symbol];
    const ElfW(Sym)& symbol = symbols[index];
    const bool hidden = versions_ != nullptr && (versions_[index] & kHiddenVersion) != 0;
    if ((entry | 1) == (hash | 1) && !hidden && symbol.st_shndx != SHN_UNDEF &&
        std::strcmp(strings_ + symbol.st_name, name) == 0) {
      return reinterpret_cast<void*>(base_ + symbol.st_value);
    }
    if ((entry & 1) != 0) return nullptr;
  }
}

}  // namespace vhbm::interpose
