// What the tests of the tiers have in common: blocks of known bytes, a folder, a child process.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "runtime/spill/block_store.h"

namespace vhbm {

using ByteVector = std::vector<std::byte>;

// What no codec makes smaller.
inline ByteVector random_bytes(Bytes size, unsigned seed) {
  std::mt19937_64 random(seed);
  ByteVector bytes(size.value);
  for (std::size_t i = 0; i < bytes.size(); i += sizeof(std::uint64_t)) {
    const std::uint64_t word = random();
    std::memcpy(&bytes[i], &word, std::min(sizeof word, bytes.size() - i));
  }
  return bytes;
}

// What every codec makes smaller: long runs of one value.
inline ByteVector smooth_bytes(Bytes size, unsigned seed) {
  ByteVector bytes(size.value);
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<std::byte>((i / 1000 + seed) & 0xff);
  return bytes;
}

inline BlockSource source(std::uint64_t key, const ByteVector& bytes) {
  return {{key}, bytes};
}

inline Status write_one(BlockStore& store, std::uint64_t key, const ByteVector& bytes) {
  const BlockSource block = source(key, bytes);
  return store.write({&block, 1});
}

// The block's bytes, or none with `status` saying why.
inline ByteVector read_one(BlockStore& store, std::uint64_t key, std::size_t size,
                           Status* status = nullptr) {
  ByteVector bytes(size);
  const BlockTarget block{{key}, bytes};
  const Status outcome = store.read({&block, 1});
  if (status != nullptr) *status = outcome;
  if (!outcome.ok()) bytes.clear();
  return bytes;
}

inline void drop_one(BlockStore& store, std::uint64_t key) {
  const BlockKey block{key};
  store.drop({&block, 1});
}

// An empty folder on the disk that the build is on, gone with its end.
class Folder {
 public:
  Folder() {
    std::string path = std::filesystem::current_path() / "spill-XXXXXX";
    path_ = mkdtemp(path.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] bool is_empty() const { return std::filesystem::is_empty(path_); }

 private:
  std::string path_;
};

// What waitpid says of a child that did `work`, and then ended well if that returned true.
inline int outcome_of_child(const std::function<bool()>& work) {
  const pid_t child = fork();
  if (child == 0) _exit(work() ? 0 : 1);
  int outcome = -1;
  waitpid(child, &outcome, 0);
  return outcome;
}

}  // namespace vhbm
