// The KV layouts that a process was given, and the kernels that they were found to describe.
// Invariant: a match stays for good once it is made, so that launches may hold it. Locking: match()
// and describe() a mutex; a match's counters are atomic.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "runtime/kv_layout.h"
#include "runtime/status.h"

namespace vhbm {

// A function of the application, and the layouts that mean it.
struct KvMatch {
  std::string function;              // as the driver tells it
  std::vector<std::uint32_t> sizes;  // of its parameters, in bytes
  struct Fit {
    const KvLayout* layout;
    const KvKernel* kernel;
    std::string misfit;  // empty when it fits
  };
  std::vector<Fit> fits;
  // The one that counts: the first that fits; nullptr when none does.
  const KvLayout* layout = nullptr;
  const KvKernel* kernel = nullptr;

  std::atomic<std::uint64_t> probes{0};    // launched
  std::atomic<std::uint64_t> captured{0};  // of these, into graphs
  // What it reads are no block numbers: there are no more.
  std::atomic<bool> off{false};
  // Why there was none, the last time that there was none: a text that lives for good.
  std::atomic<const char*> refusal{nullptr};
  std::atomic<std::uint64_t> refusals{0};
};

// A layout that comes with vHBM.
struct BuiltInKvLayout {
  const char* name;
  const char* text;
};
[[nodiscard]] std::span<const BuiltInKvLayout> built_in_kv_layouts();

class KvLayouts {
 public:
  // `chosen` is what the option kv_layouts says: names of those that come with vHBM, files, and
  // folders of files, with commas between them.
  //   Errc::invalid_value  one line that names file, line, key, value and what is accepted
  [[nodiscard]] static Result<std::unique_ptr<KvLayouts>> load(const std::string& chosen);

  // The match for a function of that name and those parameters; nullptr when no layout describes
  // it.
  [[nodiscard]] KvMatch* match(const std::string& function, std::vector<std::uint32_t> sizes);
  // Those so far, and functions that no layout means.
  [[nodiscard]] std::vector<const KvMatch*> matches() const;
  [[nodiscard]] const std::deque<KvLayout>& all() const { return layouts_; }

 private:
  std::deque<KvLayout> layouts_;
  mutable std::mutex mutex_;
  std::deque<KvMatch> matches_;
};

// `chosen` as it is meant from any folder.
[[nodiscard]] std::string absolute_kv_layouts(const std::string& chosen);

// One layout by its name, or its file's. Every refusal is one line.
[[nodiscard]] std::vector<std::string> load_kv_layout(const std::string& name_or_path,
                                                      KvLayout& layout);

}  // namespace vhbm
