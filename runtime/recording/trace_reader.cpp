#include "runtime/recording/trace_reader.h"

#include <zstd.h>
#include <zstd_errors.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "runtime/recording/trace_writer.h"

namespace vhbm::recording {
namespace {

// Of a record that is spread over blocks: longer ones are none.
constexpr std::size_t longest_record = 256 << 20;

// Whether `bytes` begin with a whole record; a size that cannot be is left to take().
bool is_whole(std::string_view bytes) {
  for (int part = 0; part < 2; ++part) {
    std::uint64_t value = 0;
    std::size_t i = 0;
    for (;; ++i) {
      if (i == bytes.size()) return false;
      if (i == 10) return true;
      const auto byte = static_cast<unsigned char>(bytes[i]);
      value |= std::uint64_t{byte & 0x7fu} << (7 * i);
      if (byte < 0x80) break;
    }
    bytes.remove_prefix(i + 1);
    if (part == 1) return value > longest_record || value <= bytes.size();
  }
  return true;
}

}  // namespace

Result<TraceReader> TraceReader::open(const std::string& path) {
  TraceReader reader;
  reader.path_ = path;
  std::ifstream in(path, std::ios::binary);
  if (in) reader.file_.assign(std::istreambuf_iterator<char>(in), {});
  if (!in) return Status(Errc::system_error, path + ": cannot be read: " + std::strerror(errno));
  std::string_view file = reader.file_;
  auto header = take_header(file);
  if (!header.ok()) {
    return Status(header.status().code(), path + ": " + header.status().message());
  }
  reader.header_ = std::move(*header);
  reader.at_ = reader.file_.size() - file.size();
  return reader;
}

Status TraceReader::corrupted(std::size_t byte, const std::string& why) const {
  return {Errc::bytes_corrupted, path_ + ": byte " + std::to_string(byte) + ": " + why};
}

Result<bool> TraceReader::unpack() {
  const std::string_view rest = std::string_view(file_).substr(at_);
  if (rest.empty()) return false;
  const std::size_t packed = ZSTD_findFrameCompressedSize(rest.data(), rest.size());
  const unsigned long long plain = ZSTD_getFrameContentSize(rest.data(), rest.size());
  if (ZSTD_isError(packed) != 0) {
    // What begins as a block does, and ends too early, is what a writer had not finished. Nothing
    // follows it.
    constexpr std::string_view magic("\x28\xb5\x2f\xfd");
    const std::size_t seen = std::min(rest.size(), magic.size());
    if (rest.substr(0, seen) == magic.substr(0, seen) &&
        ZSTD_getErrorCode(packed) == ZSTD_error_srcSize_wrong &&
        rest.find(magic, 1) == std::string_view::npos) {
      cut_off_ = "the file ends within the block at byte " + std::to_string(at_);
      return false;
    }
    return corrupted(at_, "no block of a trace begins here");
  }
  if (plain > most_in_block) return corrupted(at_, "the block has no such size");
  block_at_ = at_;
  const std::size_t left = records_.size();
  records_.resize(left + plain);
  const std::size_t size = ZSTD_decompress(records_.data() + left, plain, rest.data(), packed);
  if (ZSTD_isError(size) != 0 || size != plain) {
    records_.resize(left);
    return corrupted(at_, std::string("the block cannot be unpacked: ") +
                              (ZSTD_isError(size) != 0 ? ZSTD_getErrorName(size) : "it is short"));
  }
  at_ += packed;
  return true;
}

Status TraceReader::read(const std::function<std::string(Record&)>& take_one) {
  bool ended = false;
  for (;;) {
    const auto more = unpack();
    if (!more.ok()) return more.status();
    if (!*more) break;
    std::string_view bytes = records_;
    while (is_whole(bytes)) {
      Record record;
      std::string why;
      if (!take(bytes, record, &why)) return corrupted(block_at_, "in the block there, " + why);
      if (std::holds_alternative<std::monostate>(record.content)) {
        ++unknown_;
        continue;
      }
      ended = ended || std::holds_alternative<end>(record.content);
      const char* const kind = kind_names[record.content.index()];
      if (why = take_one(record); !why.empty()) {
        return corrupted(block_at_, std::string("in the block there, a record of kind ") + kind +
                                        " makes no sense: " + why);
      }
    }
    records_.erase(0, records_.size() - bytes.size());
  }
  if (!ended && !cut_off_) {
    cut_off_ = "the recording did not end, but stops at byte " + std::to_string(file_.size());
  }
  return {};
}

}  // namespace vhbm::recording
