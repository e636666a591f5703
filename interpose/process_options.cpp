#include "interpose/process_options.h"

#include <unistd.h>

#include <atomic>
#include <exception>
#include <memory>

#include "policies/policy.h"
#include "runtime/host_promises.h"
#include "runtime/memory_report.h"
#include "runtime/shared_file.h"

namespace vhbm::interpose {
namespace {

struct Read {
  const pid_t reader;
  Result<Options> options;
};

constinit std::atomic<const Read*> last_read{nullptr};

Result<Options> read_options() {
  auto options = Options::from_environment({{"policy", policy_names()}});
  if (options.ok() && !options->disable && options->report == Report::virtual_memory) {
    const Bytes available =
        available_host_memory(promised_to_others(state_directory(options->state_dir)));
    options->host_limit = Size::of(capacity_of(*options, {}, {}, available).host);
  }
  return options;
}

}  // namespace

const Result<Options>* process_options() noexcept {
  const pid_t self = getpid();
  const Read* known = last_read.load(std::memory_order_acquire);
  if (known != nullptr && known->reader == self) return &known->options;
  try {
    std::unique_ptr<Read> made(new Read{self, read_options()});
    // Whoever was first in this process is heard. A parent's are never freed: the child has them by
    // a copy that its threads may not expect to go.
    if (!last_read.compare_exchange_strong(known, made.get(), std::memory_order_acq_rel)) {
      return &known->options;
    }
    return &made.release()->options;
  } catch (const std::exception&) {
    return nullptr;
  }
}

}  // namespace vhbm::interpose
