// What is not accepted in a file that a user wrote: each with its line, told in the order of the
// lines. Locking: none.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace vhbm {

class FileRefusals {
 public:
  explicit FileRefusals(std::string path) : path_(std::move(path)) {}

  // Line 0 is the file as a whole.
  void add(std::size_t line, const std::string& what);
  [[nodiscard]] std::size_t count() const { return all_.size(); }
  // "path:line: what", one each.
  [[nodiscard]] std::vector<std::string> told() const;

 private:
  struct Refusal {
    std::size_t line;
    std::string text;
  };

  const std::string path_;
  std::vector<Refusal> all_;
};

}  // namespace vhbm
