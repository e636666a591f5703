// A sequence lock without fences: each word is stored with release and loaded with acquire, which
// keeps it on its side of the sequence's own accesses.
#include "runtime/region_table.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <optional>
#include <thread>

namespace vhbm {
namespace {

static_assert(sizeof(RegionRow) == 160 && sizeof(RegionsFile::Row) == sizeof(RegionRow));
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

using Advice = std::array<std::uint64_t, RegionsFile::longest_advice / sizeof(std::uint64_t)>;
using Words = std::array<std::uint64_t, RegionsFile::words>;

// Rows that the file has space for at first; doubled as needed.
constexpr std::size_t first_rows = 28;
// A change takes microseconds, at most a few milliseconds.
constexpr int most_attempts = 200;
constexpr std::chrono::milliseconds between_attempts{5};

std::optional<RegionsSnapshot> try_read(WatchedFile& watched) {
  auto* file = static_cast<RegionsFile*>(
      watched.map(sizeof(RegionsFile), RegionsFile::magic_value, regions_layout));
  if (file == nullptr) return std::nullopt;
  const std::uint64_t before = file->sequence.load(std::memory_order_acquire);
  const std::uint64_t count = file->count.load(std::memory_order_acquire);
  // The file may have grown since it was mapped.
  if (before % 2 != 0 || count > RegionTable::most_rows ||
      watched.size() < RegionsFile::size_for(count)) {
    return std::nullopt;
  }
  RegionsSnapshot snapshot;
  snapshot.rows.reserve(count);
  snapshot.left_out = file->left_out.load(std::memory_order_acquire);
  snapshot.groups.resize(std::min<std::uint64_t>(file->group_count.load(std::memory_order_acquire),
                                                 RegionsFile::most_groups));
  for (std::size_t first = 0; first < snapshot.groups.size(); first += sizeof(std::uint64_t)) {
    const std::uint64_t word =
        file->groups[first / sizeof(std::uint64_t)].load(std::memory_order_acquire);
    std::memcpy(&snapshot.groups[first], &word,
                std::min(sizeof word, snapshot.groups.size() - first));
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    Words words;
    for (std::size_t word = 0; word < words.size(); ++word) {
      words[word] = file->rows()[i][word].load(std::memory_order_acquire);
    }
    RegionRow row = std::bit_cast<RegionRow>(words);
    row.reason[sizeof row.reason - 1] = '\0';
    if (static_cast<std::size_t>(row.tag) >= tag_names.size()) row.tag = Tag::other;
    snapshot.rows.push_back(row);
  }
  Advice advice;
  for (std::size_t word = 0; word < advice.size(); ++word) {
    advice[word] = file->advice[word].load(std::memory_order_acquire);
  }
  if (file->sequence.load(std::memory_order_relaxed) != before) return std::nullopt;
  const char* const text = reinterpret_cast<const char*>(advice.data());
  snapshot.advice.assign(text, strnlen(text, sizeof advice - 1));
  const SharedHeader& header = file->header;
  snapshot.pid = static_cast<pid_t>(header.pid);
  snapshot.device = static_cast<int>(header.device);
  snapshot.started_at = header.started_at;
  snapshot.command.assign(header.command, strnlen(header.command, sizeof header.command));
  return snapshot;
}

}  // namespace

void RegionRow::set_reason(const char* text) noexcept {
  const std::size_t length = strnlen(text, sizeof reason - 1);
  std::memset(reason, 0, sizeof reason);
  std::memcpy(reason, text, length);
}

std::uint8_t share_of(std::uint64_t part, std::uint64_t whole) noexcept {
  if (part == 0 || whole == 0) return 0;
  if (part >= whole) return 255;
  const double share = static_cast<double>(part) / static_cast<double>(whole);
  return static_cast<std::uint8_t>(std::clamp(share * 255, 1.0, 254.0));
}

std::vector<std::uint8_t> RegionsSnapshot::groups_of(const RegionRow& row) const {
  const std::uint64_t end = std::uint64_t{row.first_group} + row.groups;
  if (row.groups == 0 || end > groups.size()) {
    return {share_of(row.resident, row.resident + row.host_mapped)};
  }
  return {groups.begin() + row.first_group, groups.begin() + static_cast<std::ptrdiff_t>(end)};
}

RegionTable::~RegionTable() {
  if (file_ != nullptr) munmap(file_, RegionsFile::size_for(most_rows));
}

bool RegionTable::share(const std::string& directory, int device, std::string* why_not) {
  if (!shared_.create(directory, RegionsFile::size_for(first_rows), why_not)) return false;
  // All that it may ever need, so that growing moves nothing; only what the file has is touched.
  void* memory = mmap(nullptr, RegionsFile::size_for(most_rows), PROT_READ | PROT_WRITE, MAP_SHARED,
                      shared_.descriptor(), 0);
  if (memory == MAP_FAILED) {
    *why_not = "cannot map a file in " + directory;
    shared_.close_and_unlink();
    return false;
  }
  file_ = static_cast<RegionsFile*>(memory);
  capacity_ = first_rows;
  describe_process(file_->header, RegionsFile::magic_value, regions_layout, device);
  if (shared_.name(regions_suffix, why_not)) return true;
  munmap(memory, RegionsFile::size_for(most_rows));
  file_ = nullptr;
  shared_.close_and_unlink();
  return false;
}

std::size_t RegionTable::make_room(std::size_t rows) noexcept {
  rows = std::min(rows, most_rows);
  if (rows > capacity_) {
    const std::size_t wanted = std::min(std::max(rows, capacity_ * 2), most_rows);
    if (shared_.grow(RegionsFile::size_for(wanted))) capacity_ = wanted;
  }
  return std::min(rows, capacity_);
}

void RegionTable::publish(std::span<RegionRow> rows, std::span<const std::uint8_t> groups,
                          std::string_view advice) noexcept {
  if (file_ == nullptr || !shared_.is_open()) return;
  groups = groups.first(std::min(groups.size(), RegionsFile::most_groups));
  const std::size_t count = make_room(rows.size());
  if (count < rows.size()) {
    std::nth_element(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(count), rows.end(),
                     [](const RegionRow& a, const RegionRow& b) { return a.size > b.size; });
  }
  const std::uint64_t before = file_->sequence.load(std::memory_order_relaxed);
  file_->sequence.store(before + 1, std::memory_order_relaxed);
  file_->count.store(count, std::memory_order_release);
  file_->left_out.store(rows.size() - count, std::memory_order_release);
  file_->group_count.store(groups.size(), std::memory_order_release);
  for (std::size_t first = 0; first < groups.size(); first += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, &groups[first], std::min(sizeof word, groups.size() - first));
    file_->groups[first / sizeof word].store(word, std::memory_order_release);
  }
  Advice text{};
  advice.copy(reinterpret_cast<char*>(text.data()), sizeof text - 1);
  for (std::size_t word = 0; word < text.size(); ++word) {
    file_->advice[word].store(text[word], std::memory_order_release);
  }
  for (std::size_t i = 0; i < count; ++i) {
    const auto words = std::bit_cast<Words>(rows[i]);
    for (std::size_t word = 0; word < words.size(); ++word) {
      file_->rows()[i][word].store(words[word], std::memory_order_release);
    }
  }
  file_->sequence.store(before + 2, std::memory_order_release);
}

std::vector<RegionsSnapshot> read_live_regions(const std::string& directory,
                                               std::vector<std::string>* unreadable) {
  std::vector<RegionsSnapshot> live;
  for (const std::string& path : shared_files(directory, regions_suffix)) {
    WatchedFile watched(path);
    if (!watched.is_open() || !watched.is_held()) continue;
    std::optional<RegionsSnapshot> snapshot;
    const bool ours =
        watched.map(sizeof(RegionsFile), RegionsFile::magic_value, regions_layout) != nullptr;
    for (int attempt = 0; ours && !snapshot && attempt < most_attempts; ++attempt) {
      if (attempt != 0) std::this_thread::sleep_for(between_attempts);
      snapshot = try_read(watched);
    }
    if (snapshot) {
      live.push_back(std::move(*snapshot));
    } else if (unreadable != nullptr) {
      unreadable->push_back(path);
    }
  }
  std::stable_sort(live.begin(), live.end(), [](const auto& a, const auto& b) {
    return std::pair(a.pid, a.device) < std::pair(b.pid, b.device);
  });
  return live;
}

}  // namespace vhbm
