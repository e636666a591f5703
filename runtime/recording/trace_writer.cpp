#include "runtime/recording/trace_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <cerrno>
#include <cstring>

namespace vhbm::recording {
namespace {

// Fast: the writer runs beside a server.
constexpr int level = 3;

Status failed(const std::string& path, const char* what) {
  return {Errc::system_error, path + ": " + what + ": " + std::strerror(errno)};
}

}  // namespace

struct TraceWriter::Packer {
  Packer() : context(ZSTD_createCCtx()) {}
  ~Packer() { ZSTD_freeCCtx(context); }
  ZSTD_CCtx* const context;
};

TraceWriter::TraceWriter() = default;
TraceWriter::~TraceWriter() {
  close();
}

Status TraceWriter::open(const std::string& path, const TraceHeader& header, bool replace) {
  close();
  packer_ = std::make_unique<Packer>();
  if (packer_->context == nullptr) return {Errc::out_of_memory, "no memory to pack a trace with"};
  ZSTD_CCtx_setParameter(packer_->context, ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(packer_->context, ZSTD_c_checksumFlag, 1);
  path_ = path;
  written_ = {};
  // Not truncated before it is known to be a file: a device or a pipe has other readers.
  const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  descriptor_ = ::open(path.c_str(), replace ? flags : flags | O_EXCL, 0600);
  if (descriptor_ < 0) return failed(path, "cannot be written");
  struct stat there {};
  Status status;
  if (fstat(descriptor_, &there) != 0 || !S_ISREG(there.st_mode)) {
    status = {Errc::system_error, path + ": is no regular file"};
  } else if (fchmod(descriptor_, 0600) != 0 || ftruncate(descriptor_, 0) != 0) {
    status = failed(path, "cannot be made anew");
  } else {
    status = write_all(vhbm::recording::written(header));
  }
  if (!status.ok()) close();
  return status;
}

Result<bool> TraceWriter::write(std::string_view records, Bytes limit) {
  while (!records.empty()) {
    // Readers put blocks together, so a record may begin in one and end in the next.
    const std::size_t size = std::min(records.size(), most_in_block);
    auto block = write_block(records.substr(0, size), limit);
    if (!block.ok() || !*block) return block;
    records.remove_prefix(size);
  }
  return true;
}

Result<bool> TraceWriter::write_block(std::string_view records, Bytes limit) {
  packed_.resize(ZSTD_compressBound(records.size()));
  const std::size_t size = ZSTD_compress2(packer_->context, packed_.data(), packed_.size(),
                                          records.data(), records.size());
  if (ZSTD_isError(size) != 0) {
    return Status(Errc::out_of_memory, path_ + ": " + ZSTD_getErrorName(size));
  }
  if (written_ + Bytes{size} > limit) return false;
  if (Status status = write_all(std::string_view(packed_).substr(0, size)); !status.ok()) {
    return status;
  }
  return true;
}

Status TraceWriter::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return failed(path_, "cannot be written to");
    written_ += Bytes{static_cast<std::uint64_t>(count)};
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

void TraceWriter::close() noexcept {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

}  // namespace vhbm::recording
