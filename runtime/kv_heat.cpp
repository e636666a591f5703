// The pager's side: takes what looks saw, and asks for others. What a launch does is in
// kv_looks.cpp.
#include "runtime/kv_heat.h"

#include <algorithm>
#include <cstring>

#include "runtime/device.h"
#include "runtime/log.h"

namespace vhbm {
namespace {

// Looks are asked for once in so many of the pager's rounds.
constexpr int rounds_between_looks = 4;
// So many block numbers say whether a layout is right; so large a part of them must name blocks.
constexpr std::uint64_t enough_entries = 1000, most_strays_of_100 = 50;
// Below so much of the chunks in use being used, larger blocks would help.
constexpr std::uint64_t scattered_percent = 75;

std::uint32_t read_word(std::uint32_t& word) {
  return std::atomic_ref(word).load(std::memory_order_acquire);
}

}  // namespace

KvUse& KvUse::operator+=(const KvUse& other) {
  size += other.size;
  used += other.used;
  touched += other.touched;
  resident += other.resident;
  resident_used += other.resident_used;
  touched_away += other.touched_away;
  return *this;
}

const Driver& KvHeat::driver() const {
  return device_.driver;
}

Status KvHeat::start() {
  CUcontext context = nullptr;
  CUstream stream = nullptr;
  CUresult result = driver().cuCtxGetCurrent(&context);
  if (result == CUDA_SUCCESS) result = driver().cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING);
  if (result != CUDA_SUCCESS) return Status::driver(result, "cuStreamCreate");
  Status status = probe_.prepare(context, stream);
  (void)driver().cuStreamDestroy_v2(stream);
  if (!status.ok()) return status;
  guards_.begin(probe_.guards(), KvProbe::most_guards);
  on_.store(true, std::memory_order_release);
  return {};
}

void KvHeat::off(const char* why) noexcept {
  if (!on_.exchange(false)) return;
  try {
    log_warn("block tables are not looked at any more: {}; a KV cache counts as used whole", why);
  } catch (...) {
  }
}

void KvHeat::memory_goes(DeviceAddress base, Bytes size) noexcept {
  if (!any_.load(std::memory_order_acquire)) return;
  std::lock_guard lock(mutex_);
  guards_.goes(base.value, size.value);
  for (KvSpan& span : all_) {
    if (!span.lives.load(std::memory_order_relaxed)) continue;
    if (span.begin >= base + size || base >= span.begin + span.size) continue;
    span.lives.store(false, std::memory_order_release);
    free_marks_.emplace_back(static_cast<std::size_t>(span.marks - probe_.marks().data()),
                             span.marks_held());
  }
}

void KvHeat::context_destroyed(CUcontext context) {
  std::lock_guard lock(mutex_);
  if (!probe_.usable_in(context)) return;
  // As at a program's end: nothing to be told of.
  on_.store(false);
  guards_.end();
  for (KvSpan& span : all_) span.lives.store(false, std::memory_order_release);
  probe_.context_destroyed(context);
}

Epoch KvHeat::second() const {
  const auto rounds = std::chrono::seconds(1) / device_.options.pager_interval;
  return static_cast<Epoch>(std::clamp<std::int64_t>(rounds, 4 * rounds_between_looks, 1000));
}

void KvHeat::round() {
  const auto now = Clock::now();
  if (now < next_ || !probe_.usable()) return;
  next_ = now + device_.options.pager_interval * rounds_between_looks;
  const Epoch epoch = device_.now.load(std::memory_order_relaxed);
  std::lock_guard lock(mutex_);
  if (!probe_.usable()) return;
  for (KvSpan& span : all_) {
    if (!span.lives.load(std::memory_order_relaxed)) continue;
    bool looked = false, whole = false;
    for (KvView* const one : span.made) {
      KvView& view = *one;
      const std::uint32_t taken = read_word(view.words->looks);
      if (taken != view.looks) {
        looked = true;
        whole = whole || !view.partial;
        const auto more = [](std::uint64_t& of_view, std::uint64_t& of_all, std::uint32_t& before,
                             std::uint32_t after) {
          of_view += after - before;
          of_all += after - before;
          before = after;
        };
        more(view.all_looks, looks_, view.looks, taken);
        more(view.all_entries, entries_, view.entries, read_word(view.words->entries));
        more(view.all_strays, strays_, view.strays, read_word(view.words->strays));
        judge(view);
      }
      if (!on_.load(std::memory_order_relaxed)) continue;
      std::atomic_ref(view.words->wanted).store(1, std::memory_order_release);
      view.requested.store(true, std::memory_order_release);
    }
    if (looked) collect(span, epoch);
    if (whole) span.looked_at = epoch;
  }
  device_.stats.set(Stat::kv_looks, looks_);
  device_.stats.set(Stat::kv_entries, entries_);
  device_.stats.set(Stat::kv_strays, strays_);
}

// A layout of another version of the server reads something else than block numbers.
void KvHeat::judge(KvView& view) {
  if (view.match == nullptr || view.match->off.load(std::memory_order_relaxed)) return;
  if (view.all_entries < enough_entries ||
      view.all_strays * 100 < view.all_entries * view.caches * most_strays_of_100) {
    return;
  }
  view.match->off.store(true, std::memory_order_relaxed);
  log_warn(
      "{}: what kernel {} has where its block numbers should be are none; it is not looked at any "
      "more (`vhbm kv-layout check` says more)",
      view.match->layout->file, view.match->function);
}

void KvHeat::collect(KvSpan& span, Epoch now) {
  const std::uint32_t stride = device_.pages_per_chunk();
  const std::uint32_t first_page = device_.page_of(span.begin).value;
  const std::size_t granules = span.marked.size();
  std::uint32_t touched = UINT32_MAX;  // the chunk that was touched last
  const auto take = [&](std::size_t granule) {
    std::atomic_ref<std::uint8_t> mark(span.marks[granule]);
    if (mark.load(std::memory_order_relaxed) == 0) return;
    mark.store(0, std::memory_order_relaxed);
    span.marked[granule] = now;
    const std::uint64_t offset = std::uint64_t{granule} << span.shift;
    const std::uint32_t page =
        first_page + static_cast<std::uint32_t>(offset / base_page.value) / stride * stride;
    if (page == touched) return;
    device_.pages.touch({page}, now);
    touched = page;
  };
  // Eight at a time, of which nearly all have no mark.
  for (std::size_t i = 0; i < granules; i += KvSpan::marks_at_once) {
    std::atomic_ref eight(*reinterpret_cast<std::uint64_t*>(span.marks + i));
    if (eight.load(std::memory_order_relaxed) == 0) continue;
    for (std::size_t k = i; k < std::min(i + KvSpan::marks_at_once, granules); ++k) take(k);
  }
}

KvSpan* KvHeat::span_of(std::uint32_t region) const noexcept {
  const std::uint32_t number = device_.regions.kv_span(region);
  if (number == 0) return nullptr;
  KvSpan* const span = spans_[number - 1].load(std::memory_order_acquire);
  return span != nullptr && span->lives.load(std::memory_order_acquire) ? span : nullptr;
}

KvSpan* KvHeat::span_of(std::uint32_t region, DeviceAddress base) const noexcept {
  KvSpan* const span = span_of(region);
  return span != nullptr && span->begin == base ? span : nullptr;
}

std::optional<Epoch> KvHeat::in_use_since(const Region& region) const {
  const KvSpan* const span = span_of(region.index, region.view.base);
  if (span == nullptr || span->looked_at == 0) return std::nullopt;
  // Work goes on of which nothing was looked at.
  if (device_.regions.last_use(region.index) > span->looked_at + second()) return std::nullopt;
  return span->looked_at > second() ? span->looked_at - second() : 1;
}

std::optional<KvUse> KvHeat::use_of(const Region& region) const {
  const auto since = in_use_since(region);
  if (!since) return std::nullopt;
  const KvSpan& span = *span_of(region.index);
  const std::size_t in_chunk = std::max<std::size_t>(region.chunk_size.value >> span.shift, 1);
  KvUse use;
  for (std::size_t i = 0; i < region.frames.size(); ++i) {
    Bytes used;
    const std::size_t end = std::min((i + 1) * in_chunk, span.marked.size());
    for (std::size_t g = i * in_chunk; g < end; ++g) {
      if (span.marked[g] >= *since) used += Bytes{1ull << span.shift};
    }
    const PageState state = device_.pages.state(device_.page_of(region.address_of(i)));
    const bool resident = state != PageState::host_mapped && state != PageState::spilled;
    use.size += region.chunk_size;
    use.used += used;
    if (used.value != 0) use.touched += region.chunk_size;
    if (resident) use.resident += region.chunk_size;
    if (resident) use.resident_used += used;
    if (used.value != 0 && !resident) use.touched_away += region.chunk_size;
  }
  return use;
}

bool scattered(const KvUse& use, Bytes room) {
  return use.touched > room && use.used.value * 100 < use.touched.value * scattered_percent;
}

std::string KvHeat::cure() const {
  std::lock_guard lock(mutex_);
  for (const KvSpan& span : all_) {
    if (!span.lives.load(std::memory_order_relaxed) || span.layout == nullptr) continue;
    if (!span.layout->cure.empty()) return span.layout->server + ": " + span.layout->cure;
  }
  return {};
}

std::vector<KvHeat::Told> KvHeat::tell() const {
  std::vector<Told> all;
  std::lock_guard lock(mutex_);
  for (const KvSpan& span : all_) {
    if (!span.lives.load(std::memory_order_relaxed)) continue;
    Told told{span.begin,
              span.size,
              {1ull << span.shift},
              span.layout == nullptr ? "" : span.layout->server,
              0,
              0,
              0,
              0,
              std::nullopt};
    for (const KvView* const view : span.made) {
      ++told.caches;
      told.looks += view->all_looks;
      told.entries += view->all_entries;
      told.strays += view->all_strays;
    }
    if (const Region* region = device_.regions.region_at(span.begin); region != nullptr) {
      told.use = use_of(*region);
    }
    all.push_back(std::move(told));
  }
  return all;
}

}  // namespace vhbm
