#include "interpose/hook_table.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <mutex>

#include "interpose/resolver.h"

namespace vhbm::interpose {
namespace {

struct Row {
  const char* name;
  void* hook;
};

constexpr std::size_t kRows = 0
#define HOOK(group, symbol) +1
#include "interpose/symbols.def"
#undef HOOK
    ;

const std::array<Row, kRows> rows = {{
#define HOOK(group, symbol) {#symbol, reinterpret_cast<void*>(&::symbol)},
#include "interpose/symbols.def"
#undef HOOK
}};

struct Table {
  RealFunctions functions;
  std::array<void*, kRows> native{};  // libcuda's own
  std::array<void*, kRows> next{};    // what we call: another preloaded library's, or libcuda's
};

constinit Table table;
constinit std::atomic<bool> filled{false};

void fill() noexcept {
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  if (filled.load(std::memory_order_relaxed) || loaded_libcuda() == nullptr) return;
  for (std::size_t i = 0; i < kRows; ++i) {
    table.native[i] = native_function(rows[i].name);
    table.next[i] = next_function(rows[i].name);
  }
  std::size_t i = 0;
#define HOOK(group, symbol) \
  table.functions.symbol = reinterpret_cast<decltype(&::symbol)>(table.next[i++]);
#include "interpose/symbols.def"
#undef HOOK
  filled.store(true, std::memory_order_release);
}

}  // namespace

const RealFunctions& real() noexcept {
  if (!filled.load(std::memory_order_acquire)) fill();
  return table.functions;
}

void* hook_of(void* native) noexcept {
  if (native == nullptr) return nullptr;
  if (!filled.load(std::memory_order_acquire)) fill();
  for (std::size_t i = 0; i < kRows; ++i) {
    if (table.native[i] == native || table.next[i] == native) return rows[i].hook;
  }
  return nullptr;
}

bool is_hooked_name(const char* name) noexcept {
  if (name[0] != 'c' || name[1] != 'u') return false;
  return std::any_of(rows.begin(), rows.end(),
                     [&](const Row& row) { return std::strcmp(row.name, name) == 0; });
}

}  // namespace vhbm::interpose
