#include "runtime/use_log.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

namespace vhbm {

UseLog::~UseLog() {
  if (words_ != nullptr) munmap(words_, capacity * sizeof *words_);
}

Status UseLog::reserve() {
  void* memory = mmap(nullptr, capacity * sizeof *words_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return {Errc::system_error, std::string("no memory for evidence: ") + std::strerror(errno)};
  }
  words_ = static_cast<std::atomic<std::uint64_t>*>(memory);
  return {};
}

std::uint16_t UseLog::new_lane() noexcept {
  static constinit std::atomic<std::uint16_t> threads{0};
  // Never 0, which is a thread without one.
  return static_cast<std::uint16_t>(threads.fetch_add(1, std::memory_order_relaxed) | 0x100);
}

}  // namespace vhbm
