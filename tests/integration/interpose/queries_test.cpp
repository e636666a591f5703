// One story of memory: what every query tells of each kind of memory, in each place that its pages
// can be in, is what the driver alone tells of a twin of it, or differs as a table says, which
// docs/queries.md repeats.
#include <cstring>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>

#include "gpu_test.h"
#include "queried_memory.h"
#include "runtime/region_table.h"
#include "simgpu/nvml.h"

namespace {

enum class Comparison { same, own, withheld };

struct Attribute {
  CUpointer_attribute attribute;
  std::string name;
  Comparison comparison;
  std::string told_as, reason;
};

const std::vector<Attribute>& attributes() {
  static const std::vector<Attribute> all = {
#define ATTRIBUTE(name, comparison, reason) \
  {CU_POINTER_ATTRIBUTE_##name, #name, Comparison::comparison, #comparison, reason},
#include "pointer_attributes.def"
#undef ATTRIBUTE
  };
  return all;
}

// An answer, with room to show what was written beyond its value.
struct Answer {
  CUresult result = CUDA_SUCCESS;
  std::array<unsigned char, 32> bytes;

  Answer() { bytes.fill(0xa5); }
  [[nodiscard]] std::uint64_t word() const {
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  // With an address inside the memory told by its distance from the base.
  [[nodiscard]] Answer relative_to(const Memory& memory) const {
    Answer relative = *this;
    if (result != CUDA_SUCCESS || word() - memory.base >= memory.size) return relative;
    const std::uint64_t offset = word() - memory.base;
    std::memcpy(relative.bytes.data(), &offset, sizeof offset);
    return relative;
  }
  bool operator==(const Answer&) const = default;
};

// All that is told of one address.
struct Story {
  std::map<std::string, Answer> singular{}, plural{};
  Answer range_base, range_size;
  bool operator==(const Story&) const = default;
};

Story told_of(const Api& api, CUdeviceptr address) {
  Story story;
  for (const Attribute& row : attributes()) {
    Answer& one = story.singular[row.name];
    one.result = api.cuPointerGetAttribute(one.bytes.data(), row.attribute, address);
    Answer& many = story.plural[row.name];
    CUpointer_attribute attribute = row.attribute;
    void* out[] = {many.bytes.data()};
    many.result = api.cuPointerGetAttributes(1, &attribute, out, address);
  }
  CUdeviceptr base = 0;
  std::size_t size = 0;
  story.range_base.result = story.range_size.result =
      api.cuMemGetAddressRange_v2(&base, &size, address);
  std::memcpy(story.range_base.bytes.data(), &base, sizeof base);
  std::memcpy(story.range_size.bytes.data(), &size, sizeof size);
  return story;
}

void expect_as_twin(const Memory& region, const Memory& twin, std::size_t offset) {
  const Story ours = told_of(hooked(), region.base + offset);
  const Story theirs = told_of(drivers_own(), twin.base + offset);
  const Story at_base = told_of(hooked(), region.base);
  for (const Attribute& row : attributes()) {
    for (const auto form : {&Story::singular, &Story::plural}) {
      SCOPED_TRACE(row.name + (form == &Story::singular ? ", singular" : ", plural"));
      const Answer &our = (ours.*form).at(row.name), &their = (theirs.*form).at(row.name);
      switch (row.comparison) {
        case Comparison::same:
          EXPECT_EQ(our.relative_to(region), their.relative_to(twin));
          break;
        case Comparison::own:
          EXPECT_EQ(our.result, their.result);
          EXPECT_NE(our.word(), their.word());
          EXPECT_EQ(our, (at_base.*form).at(row.name));
          break;
        case Comparison::withheld:
          EXPECT_EQ(our.result, CUDA_SUCCESS);
          EXPECT_EQ(our.bytes[0], 0);
          break;
      }
    }
  }
  EXPECT_EQ(ours.range_base.relative_to(region), theirs.range_base.relative_to(twin));
  EXPECT_EQ(ours.range_size, theirs.range_size);
}

std::vector<std::size_t> offsets_in(const Memory& memory) {
  return {0, memory.size / 2 + 12, memory.size - 1};
}

class Queries : public GpuTest {
 protected:
  Queries() : maker_{device_, stream_} { EXPECT_EQ(nvmlInit_v2(), NVML_SUCCESS); }
  ~Queries() override { EXPECT_EQ(nvmlShutdown(), NVML_SUCCESS); }

  // Its pages' places, from the table that `vhbm regions` shows.
  static std::uint64_t resident_bytes(const Memory& memory) {
    for (const auto& process : vhbm::read_live_regions(std::getenv("VHBM_STATE_DIR"))) {
      for (const auto& row : process.rows) {
        if (row.base == memory.base) return row.resident;
      }
    }
    return UINT64_MAX;
  }
  void use_until(const std::vector<Memory>& used, const std::function<bool()>& condition) {
    for (int i = 0; i < 4000 && !condition(); ++i) {
      for (const Memory& memory : used) add(memory.base, memory.size / 4096 * 4096, 0);
      EXPECT_CUDA(cuStreamSynchronize(stream_));
    }
    EXPECT_TRUE(condition());
  }
  // What is told of the GPU goes by what was allocated, wherever it lies.
  void expect_numbers(std::size_t allocated) {
    std::size_t free = 0, total = 0;
    EXPECT_CUDA(cuMemGetInfo(&free, &total));
    const std::size_t live = allocated + stat("native_bytes");
    const std::size_t expected_free = hbm_limit - std::min(live, hbm_limit);
    EXPECT_EQ(free, expected_free);
    EXPECT_EQ(total, hbm_limit);
    EXPECT_CUDA(cuDeviceTotalMem(&total, device_));
    EXPECT_EQ(total, hbm_limit);
    nvmlDevice_t gpu = nullptr;
    nvmlMemory_t first{};
    nvmlMemory_v2_t second{};
    second.version = nvmlMemory_v2;
    unsigned processes = 1;
    nvmlProcessInfo_v2_t process{};
    EXPECT_EQ(nvmlDeviceGetHandleByIndex_v2(0, &gpu), NVML_SUCCESS);
    EXPECT_EQ(nvmlDeviceGetMemoryInfo(gpu, &first), NVML_SUCCESS);
    EXPECT_EQ(nvmlDeviceGetMemoryInfo_v2(gpu, &second), NVML_SUCCESS);
    EXPECT_EQ(nvmlDeviceGetComputeRunningProcesses_v3(gpu, &processes, &process), NVML_SUCCESS);
    EXPECT_EQ(first.free, expected_free);
    EXPECT_EQ(first.total, hbm_limit);
    EXPECT_EQ(second.free, expected_free);
    EXPECT_EQ(second.total, hbm_limit);
    EXPECT_EQ(process.usedGpuMemory, live);
  }
  void expect_as_twins(const char* place, std::size_t besides = 0) {
    SCOPED_TRACE(place);
    std::size_t allocated = besides;
    for (const Memory& region : regions_) allocated += region.size;
    expect_numbers(allocated);
    for (std::size_t i = 0; i < regions_.size(); ++i) {
      SCOPED_TRACE(made_[i]->name);
      for (const std::size_t offset : offsets_in(regions_[i])) {
        SCOPED_TRACE("at " + std::to_string(offset));
        expect_as_twin(regions_[i], twins_[i], offset);
      }
    }
  }
  void make_twins(std::size_t size) {
    for (const Kind* kind : made_) {
      twins_.push_back(kind->make(drivers_own(), maker_, size));
    }
    EXPECT_CUDA(cuStreamSynchronize(stream_));
  }
  void make_regions(std::size_t size) {
    const std::uint64_t before = stat("regions");
    for (const Kind* kind : made_) {
      regions_.push_back(kind->make(hooked(), maker_, size));
    }
    EXPECT_CUDA(cuStreamSynchronize(stream_));
    EXPECT_EQ(stat("regions"), before + regions_.size());
  }
  void drop_all() {
    for (std::size_t i = 0; i < regions_.size(); ++i) {
      made_[i]->drop(hooked(), maker_, regions_[i]);
      made_[i]->drop(drivers_own(), maker_, twins_[i]);
    }
    EXPECT_CUDA(cuStreamSynchronize(stream_));
  }

  Maker maker_;
  std::vector<const Kind*> made_ = paged_kinds();
  std::vector<Memory> regions_, twins_;
};

TEST_F(Queries, AskEveryAttributeOfTheHeader) {
  std::ifstream file(CUDA_HEADER);
  const std::regex enumerator(R"([ ,]*CU_POINTER_ATTRIBUTE_(\w+) = (\d+)[^x].*)");
  std::size_t found = 0;
  std::smatch match;
  for (std::string line; std::getline(file, line);) {
    if (!std::regex_match(line, match, enumerator)) continue;
    ++found;
    bool listed = false;
    for (const Attribute& row : attributes()) {
      listed = listed || (row.name == match[1] && row.attribute == std::stoi(match[2]));
    }
    EXPECT_TRUE(listed) << match[1] << " is new: answer for it in interpose/region_attributes.cpp, "
                        << "and say in pointer_attributes.def how it compares";
  }
  EXPECT_EQ(found, attributes().size());
}

TEST_F(Queries, ArePromisedAsTheyAre) {
  std::ifstream file(QUERIES_PAGE);
  std::stringstream text;
  text << file.rdbuf();
  const std::string page = text.str();
  std::string table;
  for (const Attribute& row : attributes()) {
    table += "| `" + row.name + "` | " + row.told_as + " | " + row.reason + " |\n";
  }
  EXPECT_NE(page.find(table), std::string::npos) << "docs/queries.md has to have this table:\n"
                                                 << table;
}

TEST_F(Queries, TellTheSameOfARegionWhereverItIs) {
  // Twins in the default pool count against the limit as well.
  const std::size_t size = 4 * mebibyte;
  make_twins(size);
  CUdeviceptr filler = 0;
  ASSERT_CUDA(cuMemAlloc(&filler, hbm_limit));
  const std::uint64_t of_filler = stat("host_mapped_bytes");
  make_regions(size);
  ASSERT_GE(stat("host_mapped_bytes") - of_filler, regions_.size() * size);
  expect_as_twins("born in host memory", hbm_limit);

  ASSERT_CUDA(cuMemFree(filler));
  use_until(regions_, [] { return stat("host_mapped_bytes") == 0; });
  expect_as_twins("in HBM");

  Memory pusher{0, hbm_limit};
  ASSERT_CUDA(cuMemAlloc(&pusher.base, pusher.size));
  use_until({pusher}, [&] {
    for (const Memory& region : regions_) {
      if (resident_bytes(region) != 0) return false;
    }
    return true;
  });
  expect_as_twins("evicted", pusher.size);

  ASSERT_CUDA(cuMemFree(pusher.base));
  use_until(regions_, [] { return stat("host_mapped_bytes") == 0; });
  expect_as_twins("back in HBM");
  drop_all();
}

TEST_F(Queries, TellTheSameOfARegionThatIsHeld) {
  made_ = paged_kinds_of_any_size();
  make_twins(held_size);
  make_regions(held_size);
  // The rule is by size, and rows of memory may have another.
  EXPECT_EQ(held_size % 4096, 0u);
  expect_as_twins("held");
  drop_all();
}

TEST_F(Queries, OfTheDriversOwnMemoryAreTheDrivers) {
  const std::uint64_t regions = stat("regions");
  for (const Kind& kind : kinds) {
    if (kind.native_size == 0) continue;
    SCOPED_TRACE(kind.name);
    const Memory memory = kind.make(hooked(), maker_, kind.native_size);
    EXPECT_EQ(stat("regions"), regions);
    for (const std::size_t offset : {std::size_t{0}, memory.size / 2 + 12, memory.size}) {
      EXPECT_EQ(told_of(hooked(), memory.base + offset),
                told_of(drivers_own(), memory.base + offset))
          << "at " << offset;
    }
    kind.drop(hooked(), maker_, memory);
  }
}

// Whatever the driver would tell of the mappings behind, and of the window around them.
TEST_F(Queries, OfNobodysMemoryAreThoseOfNone) {
  int ordinary = 0;
  const Story unknown = told_of(drivers_own(), reinterpret_cast<CUdeviceptr>(&ordinary));
  for (const Attribute& row : attributes()) {
    EXPECT_NE(unknown.singular.at(row.name).result, CUDA_SUCCESS) << row.name;
  }
  EXPECT_EQ(told_of(hooked(), reinterpret_cast<CUdeviceptr>(&ordinary)), unknown);
  EXPECT_EQ(told_of(hooked(), 0), told_of(drivers_own(), 0));
  for (const Kind* kind : paged_kinds_of_any_size()) {
    SCOPED_TRACE(kind->name);
    // Not a whole number of chunks.
    const Memory region = kind->make(hooked(), maker_, 5 * mebibyte + 4096);
    EXPECT_EQ(told_of(hooked(), region.base + region.size), unknown);
    kind->drop(hooked(), maker_, region);
    EXPECT_CUDA(cuStreamSynchronize(stream_));
    EXPECT_EQ(told_of(hooked(), region.base), unknown);
  }
}

TEST_F(Queries, OfManyAttributesAreThoseOfEach) {
  const Memory region = paged_kinds()[0]->make(hooked(), maker_, 8 * mebibyte);
  const CUdeviceptr inside = region.base + 5 * mebibyte;
  const Story alone = told_of(hooked(), inside);
  std::vector<CUpointer_attribute> asked;
  std::vector<Answer> answers(attributes().size());
  std::vector<void*> out;
  for (std::size_t i = 0; i < attributes().size(); ++i) {
    asked.push_back(attributes()[i].attribute);
    out.push_back(answers[i].bytes.data());
  }
  ASSERT_CUDA(cuPointerGetAttributes(static_cast<unsigned>(asked.size()), asked.data(), out.data(),
                                     inside));
  for (std::size_t i = 0; i < attributes().size(); ++i) {
    EXPECT_EQ(answers[i], alone.plural.at(attributes()[i].name)) << attributes()[i].name;
  }
  paged_kinds()[0]->drop(hooked(), maker_, region);
}

}  // namespace
