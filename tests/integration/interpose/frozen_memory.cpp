#include "frozen_memory.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "runtime/shared_file.h"
#include "runtime/stats.h"

namespace {

struct Frozen {
  CUdeviceptr region = 0;
  std::vector<bool> in_host;
};
Frozen& frozen() {
  static Frozen made;
  return made;
}

// As `vhbm off` does.
void freeze() {
  const char* directory = std::getenv("VHBM_STATE_DIR");
  for (const std::string& path : vhbm::shared_files(directory, vhbm::stats_suffix)) {
    if (std::filesystem::path(path).stem() != std::to_string(getpid())) continue;
    vhbm::WatchedFile file(path, vhbm::WatchedFile::Access::write);
    auto* shared = static_cast<vhbm::StatsFile*>(
        file.map(sizeof(vhbm::StatsFile), vhbm::StatsFile::magic_value, vhbm::stats_layout()));
    if (shared != nullptr) shared->control.freeze_requested.store(1);
  }
}

}  // namespace

FrozenMemory::FrozenMemory() {
  if (frozen().region == 0) make();
}

void FrozenMemory::make() {
  // This reference outlives each test's.
  ASSERT_CUDA(cuDevicePrimaryCtxRetain(&context_, device_));
  CUdeviceptr made = 0;
  ASSERT_CUDA(cuMemAlloc(&made, chunks * chunk));
  const auto use_every_other = [&] {
    for (std::size_t i = 1; i < chunks; i += 2) EXPECT_CUDA(cuMemsetD8(made + i * chunk, 0, 1));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  // Until those that are used were in HBM, twenty times in a row.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  for (int turns = 0; turns < 20; ++turns) {
    if (counted(use_every_other) != 0) turns = 0;
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "what is used does not come to HBM";
  }
  freeze();
  while (stat("frozen") == 0) {
    use_every_other();
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "nothing freezes";
  }
  std::vector<bool> host(chunks);
  std::size_t changes = 0;
  for (std::size_t i = 0; i < chunks; ++i) {
    host[i] = counted([&] { EXPECT_CUDA(cuMemsetD8(made + i * chunk, 0, 1)); }) != 0;
    if (i > 0 && host[i] != host[i - 1]) ++changes;
  }
  ASSERT_GE(changes, chunks / 2) << "chunks do not lie by turns";
  frozen() = {made, host};
}

CUdeviceptr FrozenMemory::region() const {
  return frozen().region;
}

bool FrozenMemory::in_host(std::size_t index) const {
  return frozen().in_host[index];
}

std::uint64_t FrozenMemory::in_place(CUdeviceptr address, std::size_t length) const {
  if (length == 0) return 0;
  const std::size_t first = (address - region()) / chunk;
  const std::size_t last = (address + length - 1 - region()) / chunk;
  std::uint64_t host = 0;
  for (std::size_t i = first; i <= last; ++i) host += in_host(i) ? chunk : 0;
  return std::min<std::uint64_t>(host, length);
}
