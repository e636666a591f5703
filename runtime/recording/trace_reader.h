// Reads a trace, block by block. Whatever is wrong with a file is told with its name and the byte;
// only a file that ends early is no error, since that is what a killed process leaves. Locking:
// none; one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/recording/record.h"
#include "runtime/recording/trace_header.h"
#include "runtime/status.h"

namespace vhbm::recording {

class TraceReader {
 public:
  //   Errc::system_error   the file cannot be read
  //   Errc::invalid_value  it is no trace, or of a version that is not known
  [[nodiscard]] static Result<TraceReader> open(const std::string& path);

  [[nodiscard]] const TraceHeader& header() const { return header_; }
  // Hands over all records, in the order of the file. Once. `take` says what of a record makes no
  // sense, or nothing.
  //   Errc::bytes_corrupted  the message names file, byte and what is wrong; what came before was
  //                          handed over
  [[nodiscard]] Status read(const std::function<std::string(Record&)>& take);

  // After read(). Why the file ends before the recording did; nullopt when it does not.
  [[nodiscard]] const std::optional<std::string>& cut_off() const { return cut_off_; }
  // Records of kinds that a later version added.
  [[nodiscard]] std::uint64_t unknown() const { return unknown_; }
  [[nodiscard]] std::size_t size() const { return file_.size(); }

 private:
  TraceReader() = default;
  [[nodiscard]] Status corrupted(std::size_t byte, const std::string& why) const;
  // The next block's records, behind those that are left of the last one. False at the end.
  [[nodiscard]] Result<bool> unpack();

  std::string path_, file_, records_;
  TraceHeader header_;
  std::size_t at_ = 0;        // of the next block in the file
  std::size_t block_at_ = 0;  // of the last one
  std::optional<std::string> cut_off_;
  std::uint64_t unknown_ = 0;
};

}  // namespace vhbm::recording
