// A process that uses a GPU, or could, and how it stands to vHBM.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/stats_reader.h"

namespace vhbm::cli {

enum class Attachment {
#define ATTACHMENT(name, word, text) name,
#include "attachment.def"
#undef ATTACHMENT
};
[[nodiscard]] const char* word_of(Attachment attachment);
[[nodiscard]] const char* to_do_about(Attachment attachment);

struct GpuProcess {
  pid_t pid = 0;
  pid_t parent = 0;             // the nearest ancestor that is listed too; 0 without one
  std::vector<pid_t> children;  // those listed whose parent this is
  uid_t user = 0;
  std::string command;
  Attachment attachment = Attachment::no_preload;
  std::string detail;                  // what more there is to say of that
  bool in_this_namespace = true;       // else the pid is that of its own container
  std::vector<StatsSnapshot> devices;  // when attached
  std::optional<std::uint64_t> used;   // device memory, by NVML; of all GPUs

  [[nodiscard]] std::uint64_t sum(Stat stat) const;
};

}  // namespace vhbm::cli
