#include "memory/shared_frame.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <string>

namespace simgpu {
namespace {

constexpr char kMagic[8] = {'s', 'i', 'm', 'g', 'p', 'u', 'F', '1'};

struct Record {  // followed by the extents
  char magic[8];
  std::uint64_t size, extents, id;
  CUmemAllocationProp properties;
};

bool read_all(int file, void* out, std::size_t size, std::int64_t position) {
  return pread(file, out, size, position) == static_cast<ssize_t>(size);
}
bool write_all(int file, const void* from, std::size_t size, std::int64_t position) {
  return pwrite(file, from, size, position) == static_cast<ssize_t>(size);
}

}  // namespace

int export_frame(Frame& frame) {
  if (frame.record < 0) {
    Record record{};
    std::memcpy(record.magic, kMagic, sizeof kMagic);
    record.size = frame.size;
    record.extents = frame.extents.size();
    record.id = frame.id;
    record.properties = frame.properties;
    const std::size_t bytes = frame.extents.size() * sizeof(Extent);
    const std::int64_t position = frame.pool->add_record(sizeof record + bytes);
    if (!write_all(frame.file(), &record, sizeof record, position) ||
        !write_all(frame.file(), frame.extents.data(), bytes, position + sizeof record)) {
      return -1;
    }
    frame.record = position;
  }
  // Opened anew: a duplicate would share the position with others.
  const std::string path = "/proc/self/fd/" + std::to_string(frame.file());
  const int file = open(path.c_str(), O_RDWR);
  if (file >= 0 && lseek(file, frame.record, SEEK_SET) != frame.record) {
    close(file);
    return -1;
  }
  return file;
}

std::int64_t record_of(int file) {
  return lseek(file, 0, SEEK_CUR);
}

std::shared_ptr<Frame> import_frame(int file, std::int64_t position) {
  Record record{};
  if (position < 0 || !read_all(file, &record, sizeof record, position) ||
      std::memcmp(record.magic, kMagic, sizeof kMagic) != 0) {
    return nullptr;
  }
  auto frame = std::make_shared<Frame>();
  frame->extents.resize(record.extents);
  if (!read_all(file, frame->extents.data(), record.extents * sizeof(Extent),
                position + sizeof record)) {
    return nullptr;
  }
  frame->own_file = fcntl(file, F_DUPFD_CLOEXEC, 0);
  if (frame->own_file < 0) return nullptr;
  frame->size = record.size;
  frame->id = record.id;
  frame->properties = record.properties;
  frame->record = position;
  return frame;
}

}  // namespace simgpu
