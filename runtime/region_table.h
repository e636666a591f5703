// The live regions of this process in a file that others may map: what each is, and where it lives.
// Invariant: the rows change only while the sequence is odd, so a reader that saw the same even
// number before and after its copy has whole rows of one moment. Every word is atomic: nothing here
// is a data race. Locking: one writer, the pager's thread; any number of readers.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/shared_file.h"
#include "runtime/tag.h"

namespace vhbm {

// One region at one moment; bytes, nanoseconds.
struct RegionRow {
  static constexpr std::uint64_t never = UINT64_MAX, unknown = UINT64_MAX;

  std::uint64_t id;
  std::uint64_t base;
  std::uint64_t size;         // as the application asked for
  std::uint64_t resident;     // of its chunks, so the sum may be more than its size
  std::uint64_t host_mapped;  // as above
  std::uint64_t idle_ns;      // since work named it; never
  // Of a KV cache whose blocks in use are known: bytes of these, of chunks with one, and of these
  // blocks in HBM; unknown.
  std::uint64_t kv_used, kv_touched, kv_resident_used;
  std::uint32_t confidence;  // in its tag, 0 to 100
  Tag tag;
  std::uint8_t held;  // 1 when some of it may not move
  std::uint8_t unused[2];
  std::uint32_t first_group;  // of its groups of chunks: see RegionsFile::groups
  std::uint32_t groups;       // so many, all of one size but the last; 0 when there was no room
  char reason[72];            // for its tag; cut to fit, with a 0 at its end

  void set_reason(const char* text) noexcept;
};

// What the shared file holds. The rows follow.
struct RegionsFile {
  static constexpr std::uint64_t magic_value = 0x6e6f69676572'76;  // "vregion"
  static constexpr std::size_t words = sizeof(RegionRow) / sizeof(std::uint64_t);
  using Row = std::array<std::atomic<std::uint64_t>, words>;

  SharedHeader header;
  alignas(64) std::atomic<std::uint64_t> sequence;  // odd while rows change
  std::atomic<std::uint64_t> count;
  std::atomic<std::uint64_t> left_out;  // live regions that had no room: the smallest
  std::atomic<std::uint64_t> group_count;
  // How much of each group of chunks is in HBM, a byte each, eight to a word: 0 is nothing, 255
  // all.
  static constexpr std::size_t most_groups = 8192;
  std::array<std::atomic<std::uint64_t>, most_groups / sizeof(std::uint64_t)> groups;
  // What would cure that the KV in use is too scattered to be moved; cut to fit, with a 0 at its
  // end.
  static constexpr std::size_t longest_advice = 192;
  std::array<std::atomic<std::uint64_t>, longest_advice / sizeof(std::uint64_t)> advice;

  [[nodiscard]] Row* rows() noexcept { return reinterpret_cast<Row*>(this + 1); }
  [[nodiscard]] static std::size_t size_for(std::size_t rows) noexcept {
    return sizeof(RegionsFile) + rows * sizeof(Row);
  }
};
inline constexpr const char* regions_suffix = ".regions";
// Changes whenever a field of a row does: raise the number in front.
inline constexpr std::uint64_t regions_layout =
    4ull << 32 | sizeof(RegionsFile) << 16 | sizeof(RegionRow);

// `part` of `whole` as a byte: 0 only for nothing, 255 only for all.
[[nodiscard]] std::uint8_t share_of(std::uint64_t part, std::uint64_t whole) noexcept;

// The writer's end.
class RegionTable {
 public:
  static constexpr std::size_t most_rows = 1 << 16;

  RegionTable() = default;
  ~RegionTable();
  RegionTable(const RegionTable&) = delete;
  RegionTable& operator=(const RegionTable&) = delete;

  // As <directory>/<pid>.regions. On failure says why; nothing is published then.
  [[nodiscard]] bool share(const std::string& directory, int device, std::string* why_not);
  [[nodiscard]] bool is_shared() const noexcept { return file_ != nullptr; }
  // Replaces all rows, and the groups that they name. What there is no room for, the smallest
  // first, is counted as left out, so the order of `rows` may change.
  void publish(std::span<RegionRow> rows, std::span<const std::uint8_t> groups = {},
               std::string_view advice = {}) noexcept;
  void unshare_in_child() noexcept { shared_.leave_to_parent(); }
  // This process is about to end: what it had is of no use to anybody.
  void withdraw() noexcept { shared_.unlink_name(); }

 private:
  [[nodiscard]] std::size_t make_room(std::size_t rows) noexcept;

  SharedFile shared_;
  RegionsFile* file_ = nullptr;  // address space for most_rows
  std::size_t capacity_ = 0;     // rows that the file has space for
};

// The reader's side, for the command line.
struct RegionsSnapshot {
  pid_t pid = 0;
  int device = 0;
  std::int64_t started_at = 0;
  std::string command;
  std::vector<RegionRow> rows;
  std::uint64_t left_out = 0;
  std::vector<std::uint8_t> groups;
  std::string advice;

  // How much of each of the region's groups is in HBM; one for all of it when none was published.
  [[nodiscard]] std::vector<std::uint8_t> groups_of(const RegionRow& row) const;
};

// Every living process under `directory`, by process id. Files of another version, and those whose
// writer was stopped amid a change, are named in `unreadable`.
[[nodiscard]] std::vector<RegionsSnapshot> read_live_regions(
    const std::string& directory, std::vector<std::string>* unreadable = nullptr);

}  // namespace vhbm
