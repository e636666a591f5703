// What becomes of the buffers that CUPTI hands back, whatever is in them. A CUPTI of a few lines
// says that records lie one after another and that its clock is the system's.
#include "runtime/cupti/cupti_buffers.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

namespace vhbm {
namespace {

CuptiResult next_record(std::uint8_t* buffer, std::size_t size, CuptiActivity** record) {
  std::uint8_t* const next =
      *record == nullptr ? buffer
                         : reinterpret_cast<std::uint8_t*>(*record) + sizeof(CuptiKernelRecord);
  if (next + sizeof(CuptiKernelRecord) > buffer + size) return CuptiResult::max_limit_reached;
  *record = reinterpret_cast<CuptiActivity*>(next);
  return CuptiResult::success;
}

class CuptiBuffersTest : public ::testing::Test {
 protected:
  CuptiBuffersTest() {
    cupti_.ActivityGetNextRecord = &next_record;
    buffers_.begin(cupti_);
  }
  ~CuptiBuffersTest() override { buffers_.end(); }

  static CuptiKernelRecord kernel(const char* name, std::uint64_t start, std::uint64_t end) {
    CuptiKernelRecord made{};
    made.kind = CuptiActivityKind::concurrent_kernel;
    made.name = name;
    made.start = start;
    made.end = end;
    return made;
  }
  static std::uint8_t* request() {
    std::uint8_t* buffer = nullptr;
    std::size_t size = 0, most = 0;
    CuptiBuffers::requested(&buffer, &size, &most);
    EXPECT_EQ(size, buffer == nullptr ? 0 : CuptiBuffers::buffer_size);
    return buffer;
  }
  static void complete(std::uint8_t* buffer, const std::vector<CuptiKernelRecord>& records) {
    const std::size_t valid = records.size() * sizeof(CuptiKernelRecord);
    if (valid != 0) std::memcpy(buffer, records.data(), valid);
    CuptiBuffers::completed(nullptr, 0, buffer, CuptiBuffers::buffer_size, valid);
  }
  std::vector<KernelSpan> taken() {
    std::vector<KernelSpan> spans;
    buffers_.take(spans);
    return spans;
  }

  CuptiFunctions cupti_;
  CuptiBuffers& buffers_ = CuptiBuffers::get();
};

TEST_F(CuptiBuffersTest, GiveTheirKernelsAndKeepTheirNames) {
  char name[] = "attention";
  complete(request(), {kernel(name, 1000, 1500), kernel("rope", 1500, 1600)});
  std::strcpy(name, "gone");
  const auto spans = taken();
  ASSERT_EQ(spans.size(), 2u);
  EXPECT_EQ(spans[0].name, "attention");
  EXPECT_EQ(spans[0].end_ns - spans[0].begin_ns, 500);
  EXPECT_EQ(spans[1].begin_ns, spans[0].end_ns);
  EXPECT_TRUE(taken().empty());
  EXPECT_EQ(buffers_.lost(), 0u);
}

TEST_F(CuptiBuffersTest, CountKernelsWithoutTimesAsLost) {
  complete(request(), {kernel("none", 0, 0), kernel("not ended", 1000, 0),
                       kernel("backwards", 2000, 1000), kernel("fine", 1000, 1000)});
  EXPECT_EQ(taken().size(), 1u);
  EXPECT_EQ(buffers_.lost(), 3u);
}

TEST_F(CuptiBuffersTest, PassOverOtherRecordsAndNamelessKernels) {
  CuptiKernelRecord other = kernel("no kernel", 1, 2);
  other.kind = static_cast<CuptiActivityKind>(1);
  complete(request(), {other, kernel(nullptr, 1, 2), kernel(std::string(5000, 'x').c_str(), 1, 2)});
  const auto spans = taken();
  ASSERT_EQ(spans.size(), 2u);
  EXPECT_EQ(spans[0].name, "(a kernel)");
  EXPECT_EQ(spans[1].name, std::string(CuptiBuffers::longest_name, 'x'));
}

TEST_F(CuptiBuffersTest, AreNotHandedOutWithoutEnd) {
  std::vector<std::uint8_t*> all;
  for (std::size_t i = 0; i < CuptiBuffers::most_buffers; ++i) all.push_back(request());
  EXPECT_NE(all.back(), nullptr);
  EXPECT_EQ(request(), nullptr);
  for (std::uint8_t* one : all) complete(one, {});
  all.back() = request();
  EXPECT_NE(all.back(), nullptr);
  complete(all.back(), {});
}

TEST_F(CuptiBuffersTest, OfOthersAreLeftToThem) {
  std::vector<std::uint8_t> others(4096);
  complete(others.data(), {kernel("somebody else's", 1, 2)});
  EXPECT_TRUE(taken().empty());
}

TEST_F(CuptiBuffersTest, CountForNothingAfterTheEnd) {
  std::uint8_t* const late = request();
  buffers_.end();
  complete(late, {kernel("late", 1, 2)});
  EXPECT_TRUE(taken().empty());
  EXPECT_EQ(request(), nullptr);
}

TEST_F(CuptiBuffersTest, HoldABoundedNumberOfKernelsAndNames) {
  constexpr std::size_t a_buffer = CuptiBuffers::buffer_size / sizeof(CuptiKernelRecord);
  std::vector<std::string> names(CuptiBuffers::most_names + 10);
  for (std::size_t i = 0; i < names.size(); ++i) names[i] = "kernel " + std::to_string(i);
  std::size_t told = 0;
  while (told < CuptiBuffers::most_spans + 100) {
    std::vector<CuptiKernelRecord> records;
    for (std::size_t i = 0; i < a_buffer; ++i) {
      records.push_back(kernel(names[told++ % names.size()].c_str(), 1, 2));
    }
    complete(request(), records);
  }
  const auto spans = taken();
  ASSERT_EQ(spans.size(), CuptiBuffers::most_spans);
  EXPECT_EQ(buffers_.lost(), told - CuptiBuffers::most_spans);
  EXPECT_EQ(spans[names.size() - 100].name, names[names.size() - 100]);
  EXPECT_EQ(spans[names.size() - 1].name, "(a kernel)");
}

}  // namespace
}  // namespace vhbm
