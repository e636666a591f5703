// Writes a trace: the header, and then blocks of records, each a zstd frame of its own with a
// checksum. So a trace reads up to where its writer got, however that ended. Locking: none; one
// thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/recording/trace_header.h"
#include "runtime/status.h"
#include "runtime/units.h"

namespace vhbm::recording {

// Of records in one block, before they are packed.
inline constexpr std::size_t most_in_block = 4 << 20;

class TraceWriter {
 public:
  TraceWriter();
  ~TraceWriter();
  TraceWriter(const TraceWriter&) = delete;
  TraceWriter& operator=(const TraceWriter&) = delete;

  // A file that only its owner may read or write. What is there already is overwritten only if
  // `replace` says so, and only if it is a regular file.
  //   Errc::system_error  it cannot be made; says why
  [[nodiscard]] Status open(const std::string& path, const TraceHeader& header, bool replace);
  // Whole records, as many as there are. False when the block would make the file larger than
  // `limit`: it is not written then.
  //   Errc::system_error  the disk is full, or such: nothing more is written
  [[nodiscard]] Result<bool> write(std::string_view records, Bytes limit);
  void close() noexcept;

  [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }
  [[nodiscard]] Bytes written() const { return written_; }

 private:
  struct Packer;
  [[nodiscard]] Result<bool> write_block(std::string_view records, Bytes limit);
  [[nodiscard]] Status write_all(std::string_view bytes);

  std::unique_ptr<Packer> packer_;
  std::string path_, packed_;
  int descriptor_ = -1;
  Bytes written_;
};

}  // namespace vhbm::recording
