// Faults are plain functions in front of the driver's, since the table holds plain pointers.
#include "test_gpu.h"

#include <dlfcn.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>
#include <thread>

#include "pattern.h"
#include "policies/policy.h"
#include "policies/tagging.h"
#include "policies/wake.h"

namespace vhbm {
namespace {

CUresult CUDAAPI create(CUmemGenericAllocationHandle* handle, std::size_t size,
                        const CUmemAllocationProp* properties, unsigned long long flags) {
  if (faults().create.strikes()) return faults().create.error;
  return real_driver().cuMemCreate(handle, size, properties, flags);
}
CUresult CUDAAPI map(CUdeviceptr address, std::size_t size, std::size_t offset,
                     CUmemGenericAllocationHandle handle, unsigned long long flags) {
  if (faults().map.strikes()) return faults().map.error;
  return real_driver().cuMemMap(address, size, offset, handle, flags);
}
CUresult CUDAAPI unmap(CUdeviceptr address, std::size_t size) {
  if (faults().unmap.strikes()) return faults().unmap.error;
  return real_driver().cuMemUnmap(address, size);
}
CUresult CUDAAPI access(CUdeviceptr address, std::size_t size, const CUmemAccessDesc* rights,
                        std::size_t count) {
  if (faults().access.strikes()) return faults().access.error;
  return real_driver().cuMemSetAccess(address, size, rights, count);
}
CUresult CUDAAPI copy(CUdeviceptr to, CUdeviceptr from, std::size_t size, CUstream stream) {
  if (faults().copy.strikes()) return faults().copy.error;
  return real_driver().cuMemcpyAsync(to, from, size, stream);
}
CUresult CUDAAPI stream_query(CUstream stream) {
  if (faults().stream_query.strikes()) return faults().stream_query.error;
  return real_driver().cuStreamQuery(stream);
}

}  // namespace

Faults& faults() {
  static Faults all;
  return all;
}

const Driver& real_driver() {
  static const Driver driver = [] {
    Driver table;
    void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    const char* missing = nullptr;
    EXPECT_TRUE(table.load([&](const char* name) { return dlsym(library, name); }, &missing))
        << missing;
    return table;
  }();
  return driver;
}

Driver faulty_driver() {
  Driver table = real_driver();
  table.cuMemCreate = &create;
  table.cuMemMap = &map;
  table.cuMemUnmap = &unmap;
  table.cuMemSetAccess = &access;
  table.cuMemcpyAsync = &copy;
  table.cuStreamQuery = &stream_query;
  return table;
}

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

PagerTest::PagerTest()
    : state_dir_(::testing::TempDir() + "pager." + std::to_string(getpid())),
      driver_(faulty_driver()) {
  for (Fault* fault : {&faults().create, &faults().map, &faults().unmap, &faults().access,
                       &faults().copy, &faults().stream_query}) {
    fault->disarm();
  }
  EXPECT_CUDA(cuInit(0));
  EXPECT_CUDA(cuDeviceGet(&device_, 0));
  EXPECT_CUDA(cuDevicePrimaryCtxRetain(&context_, device_));
  EXPECT_CUDA(cuCtxSetCurrent(context_));
  EXPECT_CUDA(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
}

PagerTest::~PagerTest() {
  finish();
  cuStreamDestroy(stream_);
  cuCtxSetCurrent(nullptr);
  cuDevicePrimaryCtxRelease(device_);
  std::filesystem::remove_all(state_dir_);
}

Options PagerTest::options(std::uint64_t hbm, std::uint64_t host) {
  Options made;
  made.hbm_limit = Size::of(mib(hbm));
  made.host_limit = Size::of(mib(host));
  made.host_pool = Size::of({});  // so that what a test counts is its own doing
  made.pager_interval = std::chrono::milliseconds(1);
  made.quiesce_deadline = std::chrono::milliseconds(50);
  made.stall_limit = Percent{50};
  made.log = LogLevel::off;
  made.thrash_guard = false;  // tests move back and forth without a use in between
  // What a test leaves alive keeps its addresses, and all tests of a process have 4 TiB.
  made.window_size = Size::of(gib(64));
  return made;
}

void PagerTest::start(const Options& options, std::unique_ptr<BlockStore> below) {
  Options with_state = options;
  with_state.state_dir = state_dir_;
  auto started = Runtime::start(driver_, with_state,
                                {find_policy(options.policy)->plan, &guess_tag, &wake_order},
                                std::move(below));
  if (!started.ok()) throw std::runtime_error(started.status().message());
  runtime_ = std::move(*started);
  runtime_->stream_created(context_, stream_);
}

void PagerTest::finish() {
  // What a test has freed itself is refused, which is fine.
  for (const DeviceAddress region : allocated_) (void)runtime_->free(region);
  allocated_.clear();
  runtime_.reset();
}

std::uint64_t PagerTest::stat(Stat stat) const {
  const auto live = read_live_stats(state_dir_);
  EXPECT_EQ(live.size(), 1u);
  return live.empty() ? 0 : live[0][stat];
}

DeviceAddress PagerTest::allocate(Bytes size) {
  auto made = runtime_->allocate(size);
  EXPECT_TRUE(made.ok()) << made.status().message();
  if (!made.ok()) return {};
  allocated_.push_back(*made);
  return *made;
}

void PagerTest::fill(DeviceAddress address, Bytes size, std::uint32_t seed) {
  const auto words = pattern(size, seed);
  const auto pass = runtime_->gate().pass();
  runtime_->touched(address, size, Access::filled);
  EXPECT_CUDA(cuMemcpyHtoDAsync(address.value, words.data(), size.value, stream_));
  EXPECT_CUDA(cuStreamSynchronize(stream_));
}

bool PagerTest::holds(DeviceAddress address, Bytes size, std::uint32_t seed) {
  const auto words = words_without_pattern(size);
  {
    const auto pass = runtime_->gate().pass();
    EXPECT_CUDA(cuMemcpyDtoHAsync(words.data(), address.value, size.value, stream_));
    EXPECT_CUDA(cuStreamSynchronize(stream_));
  }
  return is_pattern(words, seed);
}

bool PagerTest::use_until(DeviceAddress region, const std::function<bool()>& condition) {
  return eventually([&] {
    runtime_->named(region);
    return condition();
  });
}

PagerTest::Blockade::Blockade(CUstream stream) {
  EXPECT_CUDA(cuLaunchHostFunc(stream, &wait, new std::shared_ptr<std::atomic<bool>>(released_)));
}

void PagerTest::Blockade::wait(void* released) {
  const std::unique_ptr<std::shared_ptr<std::atomic<bool>>> flag(
      static_cast<std::shared_ptr<std::atomic<bool>>*>(released));
  while (!(*flag)->load()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace vhbm
