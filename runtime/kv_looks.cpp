// What the launch of a kernel that a layout describes does: nearly always nothing, since the pager
// wants a look only now and then; else it reads where the kernel's table and caches are, sees what
// memory they lie in, and queues the look. A launch that is captured always has its look, which
// sees itself whether it is wanted.
#include <algorithm>
#include <bit>
#include <cstring>

#include "runtime/device.h"
#include "runtime/kv_heat.h"

namespace vhbm {
namespace {

constexpr std::uint64_t least_granule = 4096;

std::uint64_t pointer_at(const KvLaunchShape& shape, const KvPlace& place) {
  const void* const at = shape.parameters[place.argument];
  std::uint64_t address = 0;
  if (at != nullptr) std::memcpy(&address, static_cast<const char*>(at) + place.offset, 8);
  return address;
}

// Kernels that write tokens do not say what is read.
bool is_partial(const KvKernel& kernel) {
  return kernel.form == KvForm::slots || kernel.lengths_are == KvLengths::only_position;
}

}  // namespace

struct KvHeat::Reading {
  std::uint64_t entries = 0;  // that may be read
  KvGuard guard{};
};

KvView* KvHeat::view_before(const KvMatch& match, const KvLaunchShape& shape,
                            bool* ours) const noexcept {
  *ours = false;
  if (!on_.load(std::memory_order_acquire) || match.off.load(std::memory_order_relaxed)) {
    return nullptr;
  }
  const KvKernel& kernel = *match.kernel;
  const std::uint64_t keys = pointer_at(shape, kernel.keys);
  if (keys - device_.space.begin().value >= device_.space.size().value) return nullptr;
  const std::uint32_t region = device_.pages.region(device_.page_of({keys}));
  if (region == PageTable::no_region) return nullptr;
  *ours = true;
  KvSpan* const span = span_of(region);
  if (span == nullptr || keys < span->begin.value) return nullptr;
  return span->find(KvSpan::key_of(keys - span->begin.value, is_partial(kernel)));
}

bool KvHeat::wants(const KvMatch& match, const KvLaunchShape& shape) const noexcept {
  bool ours = false;
  const KvView* const view = view_before(match, shape, &ours);
  return ours && (view == nullptr || view->requested.load(std::memory_order_relaxed));
}

void KvHeat::launch(KvMatch& match, const KvLaunch& launch) noexcept {
  bool ours = false;
  KvView* const view = view_before(match, launch.shape, &ours);
  if (!ours || !probe_.usable_in(launch.context)) return;
  // The one that takes the request looks.
  if (view != nullptr && !launch.captured && !view->requested.exchange(false)) return;
  try {
    build_and_launch(match, launch);
  } catch (const std::bad_alloc&) {
    // Without memory there is no look.
  }
}

void KvHeat::build_and_launch(KvMatch& match, const KvLaunch& launch) {
  KvProbeRequest request{};
  const char* why_not = nullptr;
  {
    std::lock_guard lock(mutex_);
    if (!on_.load(std::memory_order_relaxed)) return;
    any_.store(true, std::memory_order_release);
    why_not = fill(*match.kernel, launch, match, request);
  }
  if (why_not != nullptr) {
    match.refusal.store(why_not, std::memory_order_relaxed);
    match.refusals.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  if (launch.captured) probe_.keep();
  // Outside of the mutex: a full queue makes the driver wait.
  if (probe_.launch(request, launch.stream) != CUDA_SUCCESS) {
    return off("the driver refused to launch their kernel");
  }
  match.probes.fetch_add(1, std::memory_order_relaxed);
  if (launch.captured) match.captured.fetch_add(1, std::memory_order_relaxed);
}

const char* KvHeat::readable(std::uint64_t address, std::uint64_t size, bool captured,
                             Reading& reading) {
  if (address == 0) return "the address of its table or lengths is 0";
  if (address % size != 0) return "the address of its table or lengths is not aligned";
  std::uint64_t base = 0, bytes = 0;
  if (device_.process.window.whole().contains(address)) {
    const auto region = address - device_.space.begin().value < device_.space.size().value
                            ? device_.regions.find({address})
                            : std::nullopt;
    if (!region) return "its table or lengths lie in no region of this device";
    // Such memory may go while a graph that was launched before is at work.
    if (captured && region->kind == RegionKind::stream_ordered) {
      return "its table or lengths are stream-ordered memory, and it was captured";
    }
    base = region->base.value;
    bytes = region->size.value;
  } else {
    CUdeviceptr found = 0;
    std::size_t length = 0;
    unsigned type = 0;
    if (driver().cuMemGetAddressRange_v2 == nullptr || driver().cuPointerGetAttribute == nullptr ||
        driver().cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address) !=
            CUDA_SUCCESS ||
        type != CU_MEMORYTYPE_DEVICE ||
        driver().cuMemGetAddressRange_v2(&found, &length, address) != CUDA_SUCCESS) {
      return "its table or lengths are no device memory that is known";
    }
    base = found;
    bytes = length;
  }
  const auto guard = guards_.watch(base, bytes);
  if (!guard) return "too many pieces of memory are watched already";
  reading.entries = (base + bytes - address) / size;
  reading.guard = *guard;
  return reading.entries == 0 ? "its table or lengths have no entry" : nullptr;
}

bool KvHeat::guard(const KvGuard& one, KvProbeRequest& request) const {
  for (std::uint32_t i = 0; i < request.guards; ++i) {
    if (request.guard[i].word == one.word) return true;
  }
  if (request.guards == KvProbeRequest::most_guards) return false;
  request.guard[request.guards++] = one;
  return true;
}

KvSpan* KvHeat::make_span(std::uint32_t region, DeviceAddress begin, Bytes size,
                          std::uint64_t alignment) {
  if (all_.size() == most_spans) return nullptr;
  std::uint64_t granule = std::clamp<std::uint64_t>(alignment == 0 ? base_page.value : alignment,
                                                    least_granule, base_page.value);
  const auto granules_of = [&] {
    return static_cast<std::size_t>((size.value + granule - 1) / granule);
  };
  // Coarser where there is no room for better.
  for (;; granule *= 2) {
    const std::size_t count = KvSpan::marks_held(granules_of());
    const auto left = std::find_if(free_marks_.begin(), free_marks_.end(),
                                   [&](const auto& piece) { return piece.second >= count; });
    std::size_t at = KvProbe::most_marks;
    if (left != free_marks_.end()) {
      at = left->first;
      free_marks_.erase(left);
    } else if (KvProbe::most_marks - marks_used_ >= count) {
      at = marks_used_;
      marks_used_ += count;
    }
    if (at == KvProbe::most_marks) {
      if (granule == base_page.value) return nullptr;
      continue;
    }
    KvSpan& made = all_.emplace_back();
    made.begin = begin;
    made.size = size;
    made.region = region;
    made.shift = static_cast<unsigned>(std::countr_zero(granule));
    made.marks = probe_.marks().data() + at;
    // What another region's looks left there.
    for (std::size_t i = 0; i < count; ++i) {
      std::atomic_ref(made.marks[i]).store(0, std::memory_order_relaxed);
    }
    made.marked.assign(granules_of(), 0);
    spans_[all_.size() - 1].store(&made, std::memory_order_release);
    device_.regions.set_kv_span(region, static_cast<std::uint32_t>(all_.size()));
    return &made;
  }
}

KvView* KvHeat::view_of(KvSpan& span, std::uint64_t first, bool partial) {
  const std::uint64_t key = KvSpan::key_of(first, partial);
  if (KvView* const known = span.find(key); known != nullptr) return known;
  KvView* const made = span.vacant(key);
  if (made == nullptr || words_used_ == KvProbe::most_words) return nullptr;
  made->words = probe_.words() + words_used_++;
  made->partial = partial;
  std::atomic_ref(made->words->wanted).store(1, std::memory_order_release);
  span.made.push_back(made);
  made->key.store(key, std::memory_order_release);
  return made;
}

const char* KvHeat::add_cache(const KvKernel& kernel, const KvLaunch& launch, bool values,
                              KvMatch& match, KvProbeRequest& request) {
  const std::uint64_t address = pointer_at(launch.shape, values ? *kernel.values : kernel.keys);
  const auto bytes = (values ? kernel.value_bytes : kernel.block_bytes).of(launch.shape);
  const auto stride = (values ? kernel.value_stride : kernel.block_stride).of(launch.shape);
  if (!bytes || !stride || *bytes == 0 || (*stride != 0 && *bytes > *stride)) {
    return "its blocks have no size, or are larger than their stride";
  }
  if (address - device_.space.begin().value >= device_.space.size().value) {
    return "its cache lies in no region of this device";
  }
  const auto region = device_.regions.find({address});
  if (!region) return "its cache lies in no region of this device";
  const std::uint64_t first = address - region->base.value;
  if (region->size.value - first < *bytes) return "its cache is smaller than a block";
  const std::uint64_t room = region->size.value - first - *bytes;
  const std::uint32_t index = device_.pages.region(device_.page_of({address}));
  KvSpan* span = span_of(index, region->base);
  if (span == nullptr) {
    const std::uint64_t all = *bytes | *stride | first;
    span = make_span(index, region->base, region->size, all & (~all + 1));
  }
  KvView* const view = span == nullptr ? nullptr : view_of(*span, first, is_partial(kernel));
  if (view == nullptr) return "there is no room for more caches";
  const auto guard_of_cache = guards_.watch(region->base.value, region->size.value);
  if (!guard_of_cache || !guard(*guard_of_cache, request)) {
    return "too many pieces of memory are watched already";
  }
  span->layout = match.layout;
  view->match = &match;
  view->caches = kernel.values ? 2 : 1;
  request.cache[request.caches++] = {first,
                                     *bytes,
                                     *stride,
                                     *stride == 0 ? 1 : room / *stride + 1,
                                     reinterpret_cast<std::uint64_t>(view->words),
                                     reinterpret_cast<std::uint64_t>(span->marks),
                                     span->shift};
  return nullptr;
}

const char* KvHeat::fill(const KvKernel& kernel, const KvLaunch& launch, KvMatch& match,
                         KvProbeRequest& request) {
  if (const char* why = add_cache(kernel, launch, false, match, request)) return why;
  if (kernel.values) {
    if (const char* why = add_cache(kernel, launch, true, match, request)) return why;
  }
  request.form = static_cast<std::uint32_t>(kernel.form);
  request.lengths_are = static_cast<std::uint32_t>(kernel.lengths_are);
  request.table_wide = size_of(kernel.table_type) == 8 ? 1 : 0;
  request.length_wide = size_of(kernel.length_type) == 8 ? 1 : 0;
  const auto sequences = kernel.sequences.of(launch.shape);
  if (!sequences) return "the number of its sequences is negative";
  request.sequences = std::min(*sequences, kv_most_sequences);
  const auto number = [&](const KvQuantity& quantity, std::uint64_t& value) {
    const auto told = quantity.given() ? quantity.of(launch.shape) : 1;
    value = told.value_or(0);
    return value != 0;
  };
  if (!number(kernel.block_tokens, request.block_tokens)) return "its blocks have no tokens";
  if (!number(kernel.table_stride, request.table_stride) || request.table_stride > UINT32_MAX) {
    return "its table's lines have no length";
  }
  const char* why = nullptr;
  const auto read = [&](const std::optional<KvPlace>& place, std::uint64_t size,
                        std::uint64_t& address, std::uint64_t& entries) {
    if (!place || why != nullptr) return;
    Reading reading;
    address = pointer_at(launch.shape, *place);
    why = readable(address, size, launch.captured, reading);
    if (why == nullptr && !guard(reading.guard, request)) {
      why = "too many pieces of memory are watched already";
    }
    entries = reading.entries;
  };
  std::uint64_t one = 0;
  read(kernel.table, size_of(kernel.table_type), request.table, request.table_entries);
  read(kernel.lengths, size_of(kernel.length_type), request.lengths, request.length_entries);
  read(kernel.lines, 4, request.lines, request.line_entries);
  read(kernel.sequences_at, 4, request.count_at, one);
  return why;
}

}  // namespace vhbm
