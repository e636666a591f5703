#include "gpu_process.h"

namespace vhbm::cli {
namespace {

struct AttachmentRow {
  const char *word, *to_do;
};
constexpr AttachmentRow rows[] = {
#define ATTACHMENT(name, word, text) {word, text},
#include "attachment.def"
#undef ATTACHMENT
};

}  // namespace

const char* word_of(Attachment attachment) {
  return rows[static_cast<std::size_t>(attachment)].word;
}

const char* to_do_about(Attachment attachment) {
  return rows[static_cast<std::size_t>(attachment)].to_do;
}

std::uint64_t GpuProcess::sum(Stat stat) const {
  std::uint64_t sum = 0;
  for (const StatsSnapshot& device : devices) sum += device[stat];
  return sum;
}

}  // namespace vhbm::cli
