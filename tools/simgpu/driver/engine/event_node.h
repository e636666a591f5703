// Nodes of a graph that record an event, or wait for one, while the graph runs.
#pragma once

#include "engine/stream.h"

namespace simgpu {

// The node was reached: what waits for the event may go on.
WorkResult end_record(Operation& record);

// Returns once the record ended, or the site's context is cancelled.
WorkResult wait_for_record(const Operation& record, const ExecutionSite& site);

}  // namespace simgpu
