// Of the ELF header only what both classes have in the same place is trusted before the class is
// known to be ours.
#include "program_file.h"

#include <elf.h>
#include <sys/stat.h>

#include <cstring>
#include <fstream>
#include <vector>

namespace vhbm::cli {
namespace {

bool read_at(std::ifstream& file, std::uint64_t offset, void* to, std::size_t size) {
  file.seekg(static_cast<std::streamoff>(offset));
  file.read(static_cast<char*>(to), static_cast<std::streamsize>(size));
  return static_cast<bool>(file);
}

bool read_header(std::ifstream& file, Elf64_Ehdr& header) {
  return read_at(file, 0, &header, sizeof header) &&
         std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0;
}

// That of this command, which was built with the library.
std::uint16_t own_machine() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  Elf64_Ehdr header{};
  return read_header(file, header) ? header.e_machine : 0;
}

}  // namespace

ProgramKind kind_of_program(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  Elf64_Ehdr header{};
  if (!read_header(file, header)) return ProgramKind::unknown;
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != own_machine()) {
    return ProgramKind::foreign;
  }
  struct stat status {};
  if (stat(path.c_str(), &status) == 0 && (status.st_mode & (S_ISUID | S_ISGID)) != 0) {
    return ProgramKind::set_user;
  }
  for (std::uint64_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment{};
    if (!read_at(file, header.e_phoff + i * sizeof segment, &segment, sizeof segment)) {
      return ProgramKind::unknown;
    }
    if (segment.p_type == PT_INTERP) return ProgramKind::ordinary;
  }
  return ProgramKind::static_linked;
}

}  // namespace vhbm::cli
