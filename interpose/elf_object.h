// The dynamic symbols of an object the loader has mapped, read from its own tables. Needed for the
// functions that this library exports under the C library's names: asking the loader for those would
// answer with ourselves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace vhbm::interpose {

class ElfObject {
 public:
  // The loaded object whose file is named `file_name` (the last part of its path).
  static std::optional<ElfObject> find_loaded(const char* file_name);

  // The address of a function's default version, or nullptr.
  [[nodiscard]] void* function(const char* name) const;

 private:
  ElfObject() = default;
  bool read(std::uintptr_t base, const void* dynamic);

  std::uintptr_t base_ = 0;
  const void* symbols_ = nullptr;
  const char* strings_ = nullptr;
  const std::uint16_t* versions_ = nullptr;
  const std::uint32_t* gnu_hash_ = nullptr;
};

}  // namespace vhbm::interpose
