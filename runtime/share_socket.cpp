// A socket that nobody listens at is dead: it gets its name and listens under the directory's lock,
// under which the dead are removed. Nobody waits for that lock, since who holds it may be stopped:
// without it, a socket gets its name once it listens.
// Names go through the directory's descriptor, since a socket's path has room for a hundred
// characters only.
#include "runtime/share_socket.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <string_view>
#include <thread>

#include "runtime/shared_file.h"

namespace vhbm {
namespace {

constexpr int most_waiting = 64;
// Of a socket that does not listen yet, and how long that may take.
constexpr std::string_view new_suffix = ".new";
constexpr std::chrono::minutes new_patience{1};
constexpr std::chrono::milliseconds between_attempts{1};

Status failed(const std::string& what) {
  return {Errc::system_error, what + ": " + std::strerror(errno)};
}

// The state directory, by which its sockets are reached.
class Folder {
 public:
  explicit Folder(const std::string& path)
      : descriptor_(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {}
  ~Folder() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }
  [[nodiscard]] int descriptor() const { return descriptor_; }
  [[nodiscard]] sockaddr_un address_of(const std::string& name) const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = "/proc/self/fd/" + std::to_string(descriptor_) + "/" + name;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    return address;
  }
  // False when another process is at it, which holds the directory's lock as this does from now on.
  bool remove_dead() const;

 private:
  [[nodiscard]] bool is_old(const char* name) const;

  const int descriptor_;
};

int new_socket() {
  return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int connect_to(int socket, const sockaddr_un& address) {
  return ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

bool Folder::remove_dead() const {
  if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) return false;
  DIR* entries = fdopendir(openat(descriptor_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (entries == nullptr) return true;
  while (const dirent* entry = readdir(entries)) {
    const std::string_view name = entry->d_name;
    const bool is_new = name.ends_with(new_suffix);
    if (!is_new && !name.ends_with(share_suffix) && !name.ends_with(control_suffix)) continue;
    if (is_new && !is_old(entry->d_name)) continue;
    const ShareSocket probe(new_socket());
    if (connect_to(probe.descriptor(), address_of(entry->d_name)) != 0 && errno == ECONNREFUSED) {
      unlinkat(descriptor_, entry->d_name, 0);
    }
  }
  closedir(entries);
  return true;
}

bool Folder::is_old(const char* name) const {
  struct stat status {};
  if (fstatat(descriptor_, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return false;
  return std::time(nullptr) - status.st_mtime > std::chrono::seconds(new_patience).count();
}

}  // namespace

void remove_dead_sockets(const std::string& directory) {
  const Folder folder(directory);
  if (folder.is_open()) folder.remove_dead();
}

Result<ShareSocket> ShareSocket::listen(const std::string& directory, const std::string& name) {
  std::string why_not;
  if (!prepare_state_directory(directory, &why_not)) return Status(Errc::system_error, why_not);
  const Folder folder(directory);
  if (!folder.is_open()) return failed("cannot look into " + directory);
  const bool alone = folder.remove_dead();
  ShareSocket made(new_socket());
  // Of nobody else: other process namespaces have the same process ids.
  const auto now = std::chrono::system_clock::now().time_since_epoch().count();
  const std::string temporary = std::to_string(now) + "." + name + std::string(new_suffix);
  const sockaddr_un address = folder.address_of(alone ? name : temporary);
  // The name's mode is the socket's, whatever the process's mask leaves of it.
  if (!made.is_open() || fchmod(made.descriptor_, 0600) != 0 ||
      bind(made.descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(made.descriptor_, most_waiting) != 0) {
    return failed("cannot listen in " + directory);
  }
  if (alone) return made;
  const int at = folder.descriptor();
  const bool named = linkat(at, temporary.c_str(), at, name.c_str(), 0) == 0;
  const Status why = named ? Status() : failed("cannot name a socket in " + directory);
  unlinkat(at, temporary.c_str(), 0);
  if (!named) return why;
  return made;
}

Result<ShareSocket> ShareSocket::connect(const std::string& directory, const std::string& name,
                                         std::chrono::milliseconds patience) {
  const Folder folder(directory);
  if (!folder.is_open()) return failed("cannot look into " + directory);
  ShareSocket made(new_socket());
  if (!made.is_open()) return failed("no socket");
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (connect_to(made.descriptor_, folder.address_of(name)) != 0) {
    // EAGAIN: too many are waiting there.
    if (errno != EAGAIN || std::chrono::steady_clock::now() >= deadline) {
      return failed("nobody listens in " + directory);
    }
    std::this_thread::sleep_for(between_attempts);
  }
  if (geteuid() != 0 && made.peer() != geteuid())
    return Status(Errc::system_error, "another user listens there");
  made.wait_at_most(patience);
  return made;
}

ShareSocket ShareSocket::accept(std::chrono::milliseconds patience) const {
  ShareSocket made(accept4(descriptor_, nullptr, nullptr, SOCK_CLOEXEC));
  if (!made.is_open() || (made.peer() != 0 && made.peer() != geteuid())) return {};
  made.wait_at_most(patience);
  return made;
}

std::int64_t ShareSocket::peer() const {
  ucred peer{};
  socklen_t size = sizeof peer;
  const bool known = getsockopt(descriptor_, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
  return known ? static_cast<std::int64_t>(peer.uid) : -1;
}

void ShareSocket::wait_at_most(std::chrono::milliseconds patience) const {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(patience);
  const timeval limit{seconds.count(), std::chrono::microseconds(patience - seconds).count()};
  for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    setsockopt(descriptor_, SOL_SOCKET, option, &limit, sizeof limit);
  }
  fcntl(descriptor_, F_SETFL, fcntl(descriptor_, F_GETFL) & ~O_NONBLOCK);
}

// A message is small enough to go, and to come, as a whole.
bool ShareSocket::send(const void* data, std::size_t size, int file) const {
  iovec part{const_cast<void*>(data), size};
  alignas(cmsghdr) char space[CMSG_SPACE(sizeof file)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (file >= 0) {
    message.msg_control = space;
    message.msg_controllen = sizeof space;
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof file);
    std::memcpy(CMSG_DATA(header), &file, sizeof file);
  }
  return sendmsg(descriptor_, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(size);
}

bool ShareSocket::receive(void* data, std::size_t size, int* file) const {
  iovec part{data, size};
  alignas(cmsghdr) char space[CMSG_SPACE(sizeof *file)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (file != nullptr) {
    *file = -1;
    message.msg_control = space;
    message.msg_controllen = sizeof space;
  }
  const ssize_t length = recvmsg(descriptor_, &message, MSG_WAITALL | MSG_CMSG_CLOEXEC);
  const cmsghdr* const header = length > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
  if (file != nullptr && header != nullptr && header->cmsg_type == SCM_RIGHTS &&
      header->cmsg_len == CMSG_LEN(sizeof *file)) {
    std::memcpy(file, CMSG_DATA(header), sizeof *file);
  }
  return length == static_cast<ssize_t>(size);
}

void ShareSocket::close() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

}  // namespace vhbm
