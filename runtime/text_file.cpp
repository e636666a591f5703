#include "runtime/text_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace vhbm {
namespace {

// Nobody writes more by hand; another file was named by mistake.
constexpr std::size_t largest_file = 1 << 20;

class File {
 public:
  explicit File(const std::string& path) : descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~File() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  // False, with errno, when it cannot be opened or read. Stops behind `most` bytes.
  bool read_into(std::string& text, std::size_t most) {
    char part[4096];
    while (descriptor_ >= 0 && text.size() <= most) {
      const ssize_t got = read(descriptor_, part, sizeof part);
      if (got == 0) return true;
      if (got > 0) text.append(part, static_cast<std::size_t>(got));
      if (got < 0 && errno != EINTR) return false;
    }
    return descriptor_ >= 0;
  }

 private:
  const int descriptor_;
};

}  // namespace

std::optional<std::string> read_text_file(const std::string& path, std::string* why) {
  std::string text;
  if (!File(path).read_into(text, largest_file)) {
    *why = std::string("cannot be read: ") + std::strerror(errno);
    return std::nullopt;
  }
  if (text.size() <= largest_file) return text;
  *why = "is too large: expected at most 1MiB";
  return std::nullopt;
}

}  // namespace vhbm
