// Every function of the driver API, as this toolkit's headers declare it, is hooked or passed
// through for a reason; and this check would notice if any row of the tables were not there.
#include <cuda.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

#include "symbol_tables.h"

namespace {

class Coverage : public ::testing::Test {
 protected:
  Coverage() {
    // In part of a toolkit, names that only its other headers declare cannot be looked up.
    if (*MISSING_HEADERS == '\0') return;
    std::printf("without %s: names of pass_through.def are taken as they stand\n", MISSING_HEADERS);
    for (const SymbolTables::Entry& row : tables_.passed) functions_.insert(row.symbol);
  }

  const SymbolTables tables_ = SymbolTables::read(SYMBOLS_DEF, PASS_THROUGH_DEF, CUDA_VERSION);
  std::set<std::string> functions_ = functions_declared_in(contents_of(DECLARATIONS));
};

bool mentions(const std::vector<std::string>& problems, const std::string& name) {
  return std::any_of(problems.begin(), problems.end(),
                     [&](const std::string& problem) { return problem.rfind(name + " ", 0) == 0; });
}

TEST_F(Coverage, EveryDriverFunctionIsHookedOrPassedThroughForAReason) {
  ASSERT_GT(functions_.size(), 550u);
  for (const std::string& problem : tables_.problems(functions_)) ADD_FAILURE() << problem;
  std::printf("%zu functions of this toolkit: %zu hooked, %zu passed through in %zu groups\n",
              functions_.size(), tables_.hooked.size(), tables_.passed.size(),
              tables_.groups.size());
}

TEST_F(Coverage, NoRowCanBeRemovedUnnoticed) {
  const auto before = tables_.problems(functions_);
  int tried = 0;
  for (auto list : {&SymbolTables::hooked, &SymbolTables::passed}) {
    for (std::size_t i = 0; i < (tables_.*list).size(); ++i) {
      SymbolTables without = tables_;
      const std::string name = (without.*list)[i].symbol;
      (without.*list).erase((without.*list).begin() + static_cast<std::ptrdiff_t>(i));
      const auto problems = without.problems(functions_);
      EXPECT_EQ(problems.size(), before.size() + 1) << name;
      EXPECT_TRUE(mentions(problems, name)) << name;
      ++tried;
    }
  }
  for (const std::string& group : tables_.groups) {
    SymbolTables without = tables_;
    without.groups.erase(group);
    EXPECT_GT(without.problems(functions_).size(), before.size()) << group;
    ++tried;
  }
  std::printf("%d rows and groups removed, one at a time\n", tried);
}

TEST_F(Coverage, NoticesWhatIsNewDoubleOrMisspelt) {
  auto newer = functions_;
  newer.insert("cuMemAllocFromTheMoon");
  EXPECT_TRUE(mentions(tables_.problems(newer), "cuMemAllocFromTheMoon"));
  SymbolTables both = tables_;
  both.passed.push_back({tables_.passed.front().group, "cuMemAlloc_v2"});
  EXPECT_TRUE(mentions(both.problems(functions_), "cuMemAlloc_v2"));
  SymbolTables twice = tables_;
  twice.hooked.push_back(tables_.hooked.front());
  EXPECT_TRUE(mentions(twice.problems(functions_), tables_.hooked.front().symbol));
  SymbolTables misspelt = tables_;
  misspelt.hooked.push_back({"launch", "cuLaunchKernal"});
  EXPECT_TRUE(mentions(misspelt.problems(functions_), "cuLaunchKernal"));
  SymbolTables strange = tables_;
  strange.strange.push_back("HOOK(launch");
  EXPECT_FALSE(strange.problems(functions_).empty());
}

// The header of a toolkit to come: this one's text and one more declaration, as cuda.h writes them.
TEST_F(Coverage, AFunctionThatTheHeaderGainsFailsUntilSomebodyDecides) {
  const std::string header = contents_of(DECLARATIONS);
  for (const char* declaration :
       {"CUresult CUDAAPI cuMemAllocFromTheMoon(CUdeviceptr *dptr, size_t bytesize);",
        "CUresult CUDAAPI cuMemAlloc_v3(CUdeviceptr *dptr, size_t bytesize, unsigned flags);",
        "CUresult  cuLaunchKernelEx_v2_ptsz(const CUlaunchConfig *config, CUfunction f,\n"
        "    void **kernelParams, void **extra);"}) {
    auto functions = functions_declared_in(header + "\n" + declaration + "\n");
    functions.insert(functions_.begin(), functions_.end());
    const auto problems = tables_.problems(functions);
    const std::string text = declaration;
    const std::size_t name = text.find(" cu") + 1;
    ASSERT_EQ(problems.size(), 1u) << declaration;
    EXPECT_TRUE(mentions(problems, text.substr(name, text.find('(') - name))) << problems.front();
  }
}

// A decision that can be taken only one way, by what the functions do: they give out or take back
// what may be a region, submit work, or make or end what a drain must know. Those of CUDA 3.1 and
// before, in a group of their own, reach no region.
TEST_F(Coverage, WhatReachesMemoryOrSubmitsWorkIsNeverPassedThrough) {
  const std::regex must_be_hooked(
      "cuInit|cuDeviceTotalMem_v2|cuGetProcAddress.*|cuMemAlloc(Pitch|Async|FromPoolAsync|Managed)?"
      "(_.*)?|"
      "cuMemFree(Async)?(_.*)?|cuMem(GetInfo|GetAddressRange|Create|Map|Unmap|SetAccess).*|"
      "cuPointerGet.*|cuMemcpy.*|cuMemset.*|cuMemBatchDecompress.*|cuMem(Prefetch|Discard).*|"
      "cuLaunch.*|cuGraph(Launch|Upload|Instantiate|ExecUpdate|ExecDestroy).*|cuMemRetain.*|"
      "cuStream(Create|Destroy).*|cuGreenCtxStreamCreate|cu.*EventRecord(WithFlags)?(_ptsz)?|"
      "cu.*Ctx(RecordEvent|WaitEvent)|cuStream(BeginCapture|EndCapture|WaitEvent).*|"
      "cuStream(AddCallback|WaitValue|WriteValue|BatchMemOp|AttachMem).*|"
      "cu(Signal|Wait)ExternalSemaphores.*|cuGraphics(Map|Unmap)Resources.*|"
      "cuCtx(Create|Destroy).*|cuDevicePrimaryCtx(Retain|Release|Reset).*|"
      "cuModuleUnload|cuLibraryUnload");
  int passed = 0;
  for (const SymbolTables::Entry& row : tables_.passed) {
    if (row.group == "address_32") continue;
    ++passed;
    EXPECT_FALSE(std::regex_match(row.symbol, must_be_hooked)) << row.symbol << " must be hooked";
  }
  EXPECT_GT(passed, 300);
}

}  // namespace
