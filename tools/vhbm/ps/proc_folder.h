// What /proc tells of processes. The folder is a parameter, so that tests can make one.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace vhbm::cli {

class ProcFolder {
 public:
  explicit ProcFolder(std::string path = "/proc") : path_(std::move(path)) {}

  [[nodiscard]] std::vector<pid_t> processes() const;  // in order
  // nullopt for a process that is gone.
  [[nodiscard]] std::optional<uid_t> owner(pid_t process) const;
  [[nodiscard]] pid_t parent(pid_t process) const;            // 0 when that is not known
  [[nodiscard]] std::string command(pid_t process) const;     // its words, with blanks between
  [[nodiscard]] std::string executable(pid_t process) const;  // a path that opens it from here
  // A path as the process itself would find it.
  [[nodiscard]] std::string within(pid_t process, const std::string& path) const;

  // nullopt where this user may not look.
  [[nodiscard]] std::optional<std::vector<std::string>> mapped_files(pid_t process) const;
  [[nodiscard]] std::optional<std::vector<std::string>> open_files(pid_t process) const;
  // As the process was started with: "NAME=value".
  [[nodiscard]] std::optional<std::vector<std::string>> environment(pid_t process) const;

 private:
  [[nodiscard]] std::string of(pid_t process, const char* file) const;
  const std::string path_;
};

// The variable's value, or nullptr.
[[nodiscard]] const char* value_in(const std::vector<std::string>& environment,
                                   const std::string& name);

}  // namespace vhbm::cli
