// What libvhbm.so exports and needs, as the loader sees it.
#include <cuda.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <set>
#include <sstream>
#include <string>

namespace {

std::set<std::string> rows() {
  return {
#define HOOK(group, need, name, symbol) #symbol,
#include "interpose/symbols.def"
#undef HOOK
#define NVML_HOOK(symbol, ...) #symbol,
#define NVML_QUERY(symbol, ...)
#include "interpose/nvml.def"
#undef NVML_QUERY
#undef NVML_HOOK
  };
}

std::string output_of(const std::string& command) {
  std::string output;
  FILE* pipe = popen(command.c_str(), "r");
  std::array<char, 4096> part{};
  while (const std::size_t got = std::fread(part.data(), 1, part.size(), pipe)) {
    output.append(part.data(), got);
  }
  pclose(pipe);
  return output;
}

TEST(SymbolTable, IsWhatTheLibraryExports) {
  std::istringstream symbols(output_of("nm -D --defined-only " VHBM_LIBRARY));
  std::set<std::string> exported;
  std::string address, type, name;
  while (symbols >> address >> type >> name) {
    if (type == "A") continue;  // the names of versions
    exported.insert(name.substr(0, name.find('@')));
  }
  auto expected = rows();
  expected.insert("dlsym");
  expected.insert("dlvsym");
  EXPECT_EQ(exported, expected);
}

TEST(Library, NeedsNoCudaLibraryAndCarriesNoPath) {
  const std::string dynamic = output_of("readelf -d " VHBM_LIBRARY);
  ASSERT_NE(dynamic.find("NEEDED"), std::string::npos);
  EXPECT_EQ(dynamic.find("libcuda"), std::string::npos) << dynamic;
  EXPECT_EQ(dynamic.find("RPATH"), std::string::npos) << dynamic;
  EXPECT_EQ(dynamic.find("RUNPATH"), std::string::npos) << dynamic;
  const std::string loaded = output_of("ldd " VHBM_LIBRARY " 2>&1");
  ASSERT_NE(loaded.find("libc.so.6"), std::string::npos) << loaded;
  for (const char* library : {"libcuda", "libnv", "libcupti"}) {
    EXPECT_EQ(loaded.find(library), std::string::npos) << loaded;
  }
}

}  // namespace
