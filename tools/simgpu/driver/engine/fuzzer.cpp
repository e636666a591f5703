#include "engine/fuzzer.h"

#include <sched.h>
#include <time.h>

#include <cstdlib>

namespace simgpu {

std::atomic<unsigned> Fuzzer::intensity_{0};

namespace {

std::atomic<std::uint64_t> seed{0};
std::atomic<std::uint64_t> threads{0};

// splitmix64: small state, full period, good enough to scatter delays.
std::uint64_t next() noexcept {
  static thread_local std::uint64_t state =
      seed.load() + 0x9e3779b97f4a7c15ull * threads.fetch_add(1);
  std::uint64_t z = (state += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

void sleep_for_nanoseconds(std::uint64_t duration) noexcept {
  timespec time{0, static_cast<long>(duration)};
  nanosleep(&time, nullptr);
}

}  // namespace

bool Fuzzer::configure(const std::string& text) {
  if (text.empty()) return true;
  char* end = nullptr;
  const std::uint64_t value = std::strtoull(text.c_str(), &end, 10);
  unsigned long intensity = 10;
  if (end == text.c_str()) return false;
  if (*end == ':') intensity = std::strtoul(end + 1, &end, 10);
  if (*end != 0 || intensity < 1 || intensity > 100) return false;
  configure(value, static_cast<unsigned>(intensity));
  return true;
}

void Fuzzer::configure(std::uint64_t new_seed, unsigned intensity) {
  seed = new_seed;
  intensity_ = intensity;
}

std::uint64_t Fuzzer::pick(std::uint64_t limit) noexcept {
  return next() % limit;
}

void Fuzzer::delay() noexcept {
  const std::uint64_t roll = next();
  if (roll % 100 >= intensity_.load(std::memory_order_relaxed)) return;
  const std::uint64_t length = roll >> 32;
  switch ((roll >> 16) %
          32) {  // mostly short, now and then long enough for another thread's whole protocol
    case 0:
      return sleep_for_nanoseconds(500'000 + length % 1'500'000);
    case 1:
    case 2:
    case 3:
    case 4:
      return sleep_for_nanoseconds(50'000 + length % 450'000);
    case 5:
    case 6:
    case 7:
    case 8:
    case 9:
    case 10:
    case 11:
    case 12:
      return sleep_for_nanoseconds(length % 50'000);
    default:
      sched_yield();
  }
}

}  // namespace simgpu
