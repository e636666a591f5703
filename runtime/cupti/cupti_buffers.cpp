// Buffers come from malloc and begin where malloc put them. Should a profiler of the program's take
// CUPTI over while it has some of ours, they go to that one's callback, and profilers free there
// what CUPTI hands them.
#include "runtime/cupti/cupti_buffers.h"

#include <cstdlib>

namespace vhbm {
namespace {

constexpr std::string_view unnamed = "(a kernel)";

}  // namespace

CuptiBuffers& CuptiBuffers::get() {
  static CuptiBuffers* const buffers = new CuptiBuffers;
  return *buffers;
}

void CuptiBuffers::begin(const CuptiFunctions& cupti) {
  std::lock_guard lock(mutex_);
  cupti_ = &cupti;
  spans_.clear();
  lost_ = 0;
}

void CuptiBuffers::end() {
  std::lock_guard lock(mutex_);
  cupti_ = nullptr;
}

void CuptiBuffers::take(std::vector<KernelSpan>& spans) {
  std::lock_guard lock(mutex_);
  spans.insert(spans.end(), spans_.begin(), spans_.end());
  spans_.clear();
}

void CuptiBuffers::dropped(std::size_t records) {
  std::lock_guard lock(mutex_);
  lost_ += records;
}

std::uint64_t CuptiBuffers::lost() const {
  std::lock_guard lock(mutex_);
  return lost_;
}

void CuptiBuffers::requested(std::uint8_t** buffer, std::size_t* size, std::size_t* most_records) {
  *buffer = nullptr;  // "In this case CUPTI may drop activity records."
  *size = 0;
  *most_records = 0;  // as many as there is room for
  try {
    get().hand_out(buffer, size);
  } catch (...) {
    std::free(*buffer);
    *buffer = nullptr;
    *size = 0;
  }
}

void CuptiBuffers::completed(CUcontext, std::uint32_t, std::uint8_t* buffer, std::size_t,
                             std::size_t valid) {
  try {
    get().take_back(buffer, valid);
  } catch (...) {
    // No memory for what it tells.
  }
}

void CuptiBuffers::hand_out(std::uint8_t** buffer, std::size_t* size) {
  std::lock_guard lock(mutex_);
  if (cupti_ == nullptr || handed_out_.size() >= most_buffers) return;
  *buffer = static_cast<std::uint8_t*>(std::malloc(buffer_size));
  if (*buffer == nullptr) return;
  handed_out_.insert(*buffer);
  *size = buffer_size;
}

void CuptiBuffers::take_back(std::uint8_t* buffer, std::size_t valid) {
  std::lock_guard lock(mutex_);
  // One that was not handed out here is a profiler's that had CUPTI before, and not ours to free.
  if (handed_out_.erase(buffer) == 0) return;
  const std::unique_ptr<std::uint8_t, decltype(&std::free)> freed(buffer, &std::free);
  if (cupti_ == nullptr) return;
  CuptiActivity* record = nullptr;
  while (valid != 0 &&
         cupti_->ActivityGetNextRecord(buffer, valid, &record) == CuptiResult::success) {
    if (record->kind != CuptiActivityKind::concurrent_kernel) continue;
    add(*reinterpret_cast<const CuptiKernelRecord*>(record));
  }
}

void CuptiBuffers::add(const CuptiKernelRecord& record) {
  // Also of a kernel that had not ended when CUPTI was told to deliver all.
  const bool has_times = record.start != 0 && record.end >= record.start;
  if (!has_times || spans_.size() >= most_spans) {
    ++lost_;
    return;
  }
  KernelSpan span;
  span.name = kept(record.name);
  span.device = record.device;
  span.context = record.context;
  span.stream = record.stream;
  span.graph = record.graph;
  span.begin_ns = clock.monotonic(record.start);
  span.end_ns = span.begin_ns + static_cast<std::int64_t>(record.end - record.start);
  spans_.push_back(span);
}

// CUPTI does not say for how long a record's name lives, and modules are unloaded.
std::string_view CuptiBuffers::kept(const char* name) {
  if (name == nullptr) return unnamed;
  const std::string_view told = std::string_view(name).substr(0, longest_name);
  if (const auto known = names_.find(told); known != names_.end()) return *known;
  if (names_.size() >= most_names) return unnamed;
  return *names_.emplace(told).first;
}

}  // namespace vhbm
