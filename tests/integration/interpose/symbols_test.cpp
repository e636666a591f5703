// The table of hooked functions against what cuda.h declares and against what the library exports.
// It lists here again, by what the functions do, which ones must be hooked: a row that is lost is
// missed.
#include <cuda.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>

namespace {

std::set<std::string> rows() {
  return {
#define HOOK(group, need, name, symbol) #symbol,
#include "interpose/symbols.def"
#undef HOOK
  };
}

std::set<std::string> declared() {
  std::ifstream file(DECLARATIONS);
  std::stringstream text;
  text << file.rdbuf();
  const std::string all = text.str();
  static const std::regex function(R"(CUresult\s+(cu[A-Z]\w*)\s*\()");
  std::set<std::string> names;
  for (std::sregex_iterator at(all.begin(), all.end(), function), end; at != end; ++at) {
    names.insert((*at)[1]);
  }
  return names;
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

// Functions that give out or take back memory, submit work, or make what a drain must know.
const std::regex must_be_hooked(
    "cuInit|cuGetProcAddress(_v2)?|cuMemAlloc_v2|cuMemAllocPitch_v2|cuMemFree_v2|"
    "cuMemFreeAsync(_ptsz)?|cuMemGetInfo_v2|cuMemGetAddressRange_v2|cuPointerGetAttributes?|"
    "cuMemcpy.*|cuMemset.*|cuMemBatchDecompress.*|cuLaunch.*|"
    "cuGraph(Launch|Upload|Instantiate|ExecUpdate|ExecDestroy).*|"
    "cuStream(Create|CreateWithPriority|Destroy|Destroy_v2)|cuGreenCtxStreamCreate|"
    "cuStream(BeginCapture|EndCapture|WaitEvent|AddCallback|WaitValue|WriteValue|BatchMemOp).*|"
    "cuEventRecord.*|cuCtxCreate.*|cuCtxDestroy.*|"
    "cuDevicePrimaryCtx(Retain|Release|Release_v2|Reset|Reset_v2)|cuModuleUnload|cuLibraryUnload");

// The forms of CUDA 3.1 and before, with 32-bit addresses: they reach no region.
const std::regex too_old(
    "cuMemcpy(2D|2DAsync|2DUnaligned|3D|3DAsync|AtoA|AtoD|AtoH|AtoHAsync|DtoA|DtoD|DtoDAsync|"
    "DtoH|DtoHAsync|HtoA|HtoAAsync|HtoD|HtoDAsync)|cuMemsetD(2D)?(8|16|32)");

TEST(SymbolTable, HasEveryFunctionThatReachesMemoryOrWork) {
  const auto table = rows();
  int checked = 0;
  for (const std::string& name : declared()) {
    if (!std::regex_match(name, must_be_hooked) || std::regex_match(name, too_old)) continue;
    ++checked;
    EXPECT_EQ(table.count(name), 1u) << name << " is not hooked";
  }
  EXPECT_EQ(checked, static_cast<int>(table.size()));
}

TEST(SymbolTable, NamesOnlyWhatTheHeaderDeclares) {
  const auto header = declared();
  ASSERT_GT(header.size(), 500u);
  for (const std::string& symbol : rows()) EXPECT_EQ(header.count(symbol), 1u) << symbol;
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
}

}  // namespace
