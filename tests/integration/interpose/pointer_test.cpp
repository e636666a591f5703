// What the driver tells of a pointer, by every attribute and in both forms, and of the range it
// lies in: a region tells what cuMemAlloc's memory tells, and the same in each of its states.
#include <array>
#include <cstring>
#include <fstream>
#include <map>
#include <regex>
#include <thread>

#include "gpu_test.h"

namespace {

// How an attribute of a region compares with that of native memory.
enum class Compared {
  equal,     // the same value
  pointer,   // the same distance from the address asked of
  base,      // the same distance from the allocation's base
  size,      // each its own allocation's
  identity,  // each its own, the same at every byte and in every state
  withheld,  // a region says no to what is not offered: sharing it with others by its pages
};

struct Row {
  CUpointer_attribute attribute;
  const char* name;
  Compared compared;
};

constexpr Row rows[] = {
#define ROW(attribute, compared) \
  { CU_POINTER_ATTRIBUTE_##attribute, #attribute, Compared::compared }
    ROW(CONTEXT, equal),
    ROW(MEMORY_TYPE, equal),
    ROW(DEVICE_POINTER, pointer),
    ROW(HOST_POINTER, equal),
    ROW(P2P_TOKENS, equal),
    ROW(SYNC_MEMOPS, equal),
    ROW(BUFFER_ID, identity),
    ROW(IS_MANAGED, equal),
    ROW(DEVICE_ORDINAL, equal),
    ROW(IS_LEGACY_CUDA_IPC_CAPABLE, equal),
    ROW(RANGE_START_ADDR, base),
    ROW(RANGE_SIZE, size),
    ROW(MAPPED, equal),
    ROW(ALLOWED_HANDLE_TYPES, equal),
    ROW(IS_GPU_DIRECT_RDMA_CAPABLE, withheld),
    ROW(ACCESS_FLAGS, equal),
    ROW(MEMPOOL_HANDLE, equal),
    ROW(MAPPING_SIZE, size),
    ROW(MAPPING_BASE_ADDR, base),
    ROW(MEMORY_BLOCK_ID, identity),
#if CUDA_VERSION >= 12080
    ROW(IS_HW_DECOMPRESS_CAPABLE, withheld),
#endif
#undef ROW
};

// An answer, with room to show what was written beyond its value.
struct Answer {
  CUresult result = CUDA_SUCCESS;
  std::array<unsigned char, 32> bytes{};

  [[nodiscard]] std::uint64_t word() const {
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  bool operator==(const Answer&) const = default;
};

struct Memory {
  CUdeviceptr base;
  std::size_t size;
};

// All that is told of one address of `memory`, or one past it.
struct Story {
  Memory memory{};
  CUdeviceptr address = 0;
  std::map<std::string, Answer> singular{}, plural{};
  CUresult range_result = CUDA_SUCCESS;
  CUdeviceptr range_base = 0;
  std::size_t range_size = 0;
};

Answer blank() {
  Answer answer;
  answer.bytes.fill(0xa5);
  return answer;
}

Story told_of(const Memory& memory, std::size_t offset) {
  const CUdeviceptr address = memory.base + offset;
  Story story{memory, address};
  for (const Row& row : rows) {
    Answer one = blank();
    one.result = cuPointerGetAttribute(one.bytes.data(), row.attribute, address);
    story.singular[row.name] = one;
    Answer many = blank();
    CUpointer_attribute attribute = row.attribute;
    void* out[] = {many.bytes.data()};
    many.result = cuPointerGetAttributes(1, &attribute, out, address);
    story.plural[row.name] = many;
  }
  story.range_result = cuMemGetAddressRange(&story.range_base, &story.range_size, address);
  return story;
}

// An answer with what belongs to the allocation itself taken out of it.
Answer comparable(Answer answer, Compared compared, const Story& story) {
  if (answer.result != CUDA_SUCCESS) return answer;
  std::uint64_t word = answer.word();
  if (compared == Compared::pointer) word -= story.address;
  if (compared == Compared::base) word -= story.memory.base;
  if (compared == Compared::size) word -= story.memory.size;
  std::memcpy(answer.bytes.data(), &word, sizeof word);
  return answer;
}

void expect_range_alike(const Story& region, const Story& native) {
  EXPECT_EQ(region.range_result, native.range_result);
  if (native.range_result != CUDA_SUCCESS) return;
  EXPECT_EQ(region.range_base, region.memory.base);
  EXPECT_EQ(region.range_size, region.memory.size);
}

void expect_alike(const Story& region, const Story& native) {
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    for (auto form : {&Story::singular, &Story::plural}) {
      SCOPED_TRACE(form == &Story::singular ? "singular" : "plural");
      const Answer &ours = (region.*form).at(row.name), &theirs = (native.*form).at(row.name);
      if (row.compared == Compared::withheld) {
        EXPECT_EQ(ours.result, CUDA_SUCCESS);
        EXPECT_EQ(ours.bytes[0], 0);
        continue;
      }
      EXPECT_EQ(ours.result, theirs.result);
      if (row.compared == Compared::identity) {
        EXPECT_NE(ours.word(), 0u);
        EXPECT_NE(ours.word(), theirs.word());
      } else {
        EXPECT_EQ(comparable(ours, row.compared, region), comparable(theirs, row.compared, native));
      }
    }
  }
  expect_range_alike(region, native);
}

// As of memory that the driver knows nothing of.
void expect_unknown(const Story& story) {
  int ordinary = 0;
  const Story unknown = told_of({reinterpret_cast<CUdeviceptr>(&ordinary), sizeof ordinary}, 0);
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    EXPECT_NE(story.singular.at(row.name).result, CUDA_SUCCESS);
    EXPECT_EQ(story.singular.at(row.name), unknown.singular.at(row.name));
    EXPECT_EQ(story.plural.at(row.name), unknown.plural.at(row.name));
  }
  EXPECT_NE(story.range_result, CUDA_SUCCESS);
  EXPECT_EQ(story.range_result, unknown.range_result);
}

void expect_same(const Story& one, const Story& other) {
  for (const Row& row : rows) {
    EXPECT_EQ(one.singular.at(row.name), other.singular.at(row.name)) << row.name;
    EXPECT_EQ(one.plural.at(row.name), other.plural.at(row.name)) << row.name;
  }
  EXPECT_EQ(one.range_result, other.range_result);
  EXPECT_EQ(one.range_base, other.range_base);
  EXPECT_EQ(one.range_size, other.range_size);
}

void expect_same_identity(const Story& one, const Story& other) {
  for (const Row& row : rows) {
    if (row.compared != Compared::identity) continue;
    EXPECT_EQ(one.singular.at(row.name), other.singular.at(row.name)) << row.name;
  }
}

using Stories = std::array<Story, 4>;

Stories stories_of(const Memory& memory) {
  return {told_of(memory, 0), told_of(memory, memory.size / 2 + 12),
          told_of(memory, memory.size - 1), told_of(memory, memory.size)};
}
constexpr const char* positions[] = {"at its base", "inside", "at its last byte", "one past it"};
constexpr std::size_t one_past = 3;

class PointerTest : public GpuTest {
 protected:
  // Below what becomes a region.
  PointerTest() : native_{0, mebibyte} { EXPECT_CUDA(cuMemAlloc(&native_.base, native_.size)); }
  ~PointerTest() override { EXPECT_CUDA(cuMemFree(native_.base)); }
  // A chunk that is used moves into HBM, once there is room for it.
  bool becomes_resident(const Memory& region) {
    for (int i = 0; i < 4000; ++i) {
      if (stat("host_mapped_bytes") == 0) return true;
      add(region.base, region.size, 0);
      EXPECT_CUDA(cuStreamSynchronize(stream_));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  }

  Memory native_;
};

TEST_F(PointerTest, EveryAttributeOfTheHeaderIsCompared) {
  std::ifstream file(CUDA_HEADER);
  const std::regex enumerator(R"([ ,]*CU_POINTER_ATTRIBUTE_(\w+) = (\d+)[^x].*)");
  std::size_t found = 0;
  std::smatch match;
  for (std::string line; std::getline(file, line);) {
    if (!std::regex_match(line, match, enumerator)) continue;
    ++found;
    bool listed = false;
    for (const Row& row : rows) {
      listed = listed || (row.name == match[1] && row.attribute == std::stoi(match[2]));
    }
    EXPECT_TRUE(listed) << match[1] << " is new: answer for it in interpose/region_attributes.cpp, "
                        << "and say here how it compares";
  }
  EXPECT_EQ(found, std::size(rows));
}

// A region that began in host memory, since HBM was full, and then moved into HBM.
TEST_F(PointerTest, ARegionTellsWhatNativeMemoryTellsInEveryState) {
  const Stories native = stories_of(native_);
  for (const std::size_t size : {7 * mebibyte, 8 * mebibyte, 5 * mebibyte + 4096}) {
    SCOPED_TRACE("a region of " + std::to_string(size) + " bytes");
    CUdeviceptr filler = 0;
    Memory region{0, size};
    ASSERT_CUDA(cuMemAlloc(&filler, hbm_limit));
    const std::uint64_t of_filler = stat("host_mapped_bytes");
    ASSERT_CUDA(cuMemAlloc(&region.base, region.size));
    ASSERT_GE(stat("host_mapped_bytes") - of_filler, size);
    const Stories in_host = stories_of(region);
    ASSERT_CUDA(cuMemFree(filler));
    fill(region.base, size, 3);
    ASSERT_TRUE(becomes_resident(region));
    const Stories in_hbm = stories_of(region);
    EXPECT_TRUE(holds(region.base, size, 3));

    for (const Stories* stories : {&in_host, &in_hbm}) {
      SCOPED_TRACE(stories == &in_host ? "in host memory" : "in HBM");
      for (std::size_t i = 0; i < stories->size(); ++i) {
        SCOPED_TRACE(positions[i]);
        const Story& story = (*stories)[i];
        expect_same(story, in_host[i]);
        if (i == one_past) {
          expect_unknown(story);
          continue;
        }
        expect_alike(story, native[i]);
        expect_same_identity(story, in_host[0]);
      }
    }
    EXPECT_CUDA(cuMemFree(region.base));
  }
}

TEST_F(PointerTest, ManyAttributesAtOnceAreToldAsEachAlone) {
  Memory region{0, 8 * mebibyte};
  ASSERT_CUDA(cuMemAlloc(&region.base, region.size));
  const Story alone = told_of(region, 5 * mebibyte);
  std::vector<CUpointer_attribute> attributes;
  std::vector<Answer> answers(std::size(rows), blank());
  std::vector<void*> out;
  for (std::size_t i = 0; i < std::size(rows); ++i) {
    attributes.push_back(rows[i].attribute);
    out.push_back(answers[i].bytes.data());
  }
  ASSERT_CUDA(cuPointerGetAttributes(static_cast<unsigned>(attributes.size()), attributes.data(),
                                     out.data(), alone.address));
  for (std::size_t i = 0; i < std::size(rows); ++i) {
    EXPECT_EQ(answers[i], alone.plural.at(rows[i].name)) << rows[i].name;
  }
  EXPECT_CUDA(cuMemFree(region.base));
}

TEST_F(PointerTest, AFreedRegionIsUnknown) {
  Memory region{0, 8 * mebibyte};
  ASSERT_CUDA(cuMemAlloc(&region.base, region.size));
  ASSERT_CUDA(cuMemFree(region.base));
  expect_unknown(told_of(region, 0));
}

TEST_F(PointerTest, TheMappingsBehindARegionAreNobodysToTouch) {
  Memory region{0, 8 * mebibyte};
  ASSERT_CUDA(cuMemAlloc(&region.base, region.size));
  fill(region.base, region.size, 11);
  CUmemGenericAllocationHandle handle = 0;
  unsigned long long access = 0;
  const CUmemLocation location{CU_MEM_LOCATION_TYPE_DEVICE, device_};
  const CUmemAccessDesc none{location, CU_MEM_ACCESS_FLAGS_PROT_NONE};
  for (const Memory& memory : {region, native_}) {
    SCOPED_TRACE(memory.base == native_.base ? "native" : "region");
    EXPECT_EQ(cuMemRetainAllocationHandle(&handle, reinterpret_cast<void*>(memory.base)),
              CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(cuMemSetAccess(memory.base, 2 * mebibyte, &none, 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(cuMemUnmap(memory.base, 2 * mebibyte), CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(cuMemAddressFree(memory.base, 2 * mebibyte), CUDA_ERROR_INVALID_VALUE);
  }
  EXPECT_EQ(cuMemGetAccess(&access, &location, region.base), CUDA_ERROR_INVALID_VALUE);
  // A range that only reaches into the window is refused as well.
  EXPECT_EQ(cuMemUnmap(region.base - 4 * mebibyte, 1ull << 45), CUDA_ERROR_INVALID_VALUE);
  EXPECT_TRUE(holds(region.base, region.size, 11));
  EXPECT_CUDA(cuMemFree(region.base));
}

TEST_F(PointerTest, WhatOnlyTheDriverAllocatesIsCounted) {
  const std::uint64_t before = stat("passed_through");
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  properties.location.id = device_;
  CUmemGenericAllocationHandle handle = 0;
  ASSERT_CUDA(cuMemCreate(&handle, 2 * mebibyte, &properties, 0));
  EXPECT_EQ(stat("passed_through"), before + 1);
  // A refusal gives out nothing.
  CUmemGenericAllocationHandle other = 0;
  EXPECT_NE(cuMemCreate(&other, 12345, &properties, 0), CUDA_SUCCESS);
  EXPECT_EQ(stat("passed_through"), before + 1);
  EXPECT_CUDA(cuMemRelease(handle));
}

}  // namespace
