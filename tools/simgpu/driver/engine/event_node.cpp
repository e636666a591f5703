#include "engine/event_node.h"

#include <chrono>

#include "machine.h"

namespace simgpu {

WorkResult end_record(Operation& record) {
  auto lock = machine()->lock();
  record.end();
  machine()->completed.notify_all();
  machine()->wake_streams();
  return WorkResult::completed;
}

WorkResult wait_for_record(const Operation& record, const ExecutionSite& site) {
  if (site.recorder != nullptr) site.recorder->may_wait();
  auto lock = machine()->lock();
  while (!record.done) {
    if (site.cancelled(site.context)) return WorkResult::cancelled;
    machine()->completed.wait_for(lock, std::chrono::milliseconds(10));
  }
  return WorkResult::completed;
}

}  // namespace simgpu
