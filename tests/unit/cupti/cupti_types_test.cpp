// CUPTI's structures as they are declared here, against the simulated library's own declaration of
// them, and both against the toolkit's headers where they are.
#include "runtime/cupti/cupti_types.h"

#include <gtest/gtest.h>

#include "layout.h"

namespace vhbm {
namespace {

CuptiLayout ours() {
  using Record = CuptiKernelRecord;
  return {{"kind", offsetof(Record, kind)},
          {"start", offsetof(Record, start)},
          {"end", offsetof(Record, end)},
          {"completed", offsetof(Record, completed)},
          {"device", offsetof(Record, device)},
          {"context", offsetof(Record, context)},
          {"stream", offsetof(Record, stream)},
          {"grid", offsetof(Record, grid)},
          {"block", offsetof(Record, block)},
          {"correlation", offsetof(Record, correlation)},
          {"name", offsetof(Record, name)},
          {"graph_node", offsetof(Record, graph_node)},
          {"graph", offsetof(Record, graph)},
          {"success", static_cast<long>(CuptiResult::success)},
          {"invalid_operation", static_cast<long>(CuptiResult::invalid_operation)},
          {"max_limit_reached", static_cast<long>(CuptiResult::max_limit_reached)},
          {"multiple_subscribers", static_cast<long>(CuptiResult::multiple_subscribers)},
          {"concurrent_kernel", static_cast<long>(CuptiActivityKind::concurrent_kernel)},
          {"flush_forced", cupti_flush_forced}};
}

void expect_same(const CuptiLayout& here, const CuptiLayout& there) {
  for (const auto& [name, value] : here) {
    const auto other = there.find(name);
    ASSERT_NE(other, there.end()) << name;
    EXPECT_EQ(value, other->second) << name;
  }
}

TEST(CuptiTypes, LieWhereTheSimulatedLibraryHasThem) {
  expect_same(ours(), simulated_layout());
}

TEST(CuptiTypes, LieWhereTheToolkitHasThem) {
  const CuptiLayout toolkit = toolkit_layout();
  if (toolkit.empty()) GTEST_SKIP() << "this toolkit has no cupti.h";
  expect_same(ours(), toolkit);
  for (const auto& [name, value] : toolkit) EXPECT_EQ(simulated_layout().at(name), value) << name;
}

// Where the headers of CUDA 13.0 have them, for when those are not there to be asked.
TEST(CuptiTypes, LieWhereNvidiaPutThem) {
  EXPECT_EQ(offsetof(CuptiKernelRecord, start), 16u);
  EXPECT_EQ(offsetof(CuptiKernelRecord, stream), 48u);
  EXPECT_EQ(offsetof(CuptiKernelRecord, name), 104u);
  EXPECT_EQ(offsetof(CuptiKernelRecord, graph), 156u);
}

}  // namespace
}  // namespace vhbm
