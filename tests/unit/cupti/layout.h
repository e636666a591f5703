// Where a declaration of CUPTI has what is read, and its numbers: by the simulated library's
// header, and by the toolkit's own where it is found.
#pragma once

#include <map>
#include <string>

using CuptiLayout = std::map<std::string, long>;

CuptiLayout simulated_layout();
// Empty where the toolkit has no cupti.h.
CuptiLayout toolkit_layout();

// What the two sources are made of, each with its own header: the members of a kernel's record, of
// that name in it, and the numbers.
#define CUPTI_LAYOUT(Record)                                                                   \
  {                                                                                            \
    {"kind", offsetof(Record, kind)}, {"start", offsetof(Record, start)},                      \
        {"end", offsetof(Record, end)}, {"completed", offsetof(Record, completed)},            \
        {"device", offsetof(Record, deviceId)}, {"context", offsetof(Record, contextId)},      \
        {"stream", offsetof(Record, streamId)}, {"grid", offsetof(Record, gridX)},             \
        {"block", offsetof(Record, blockX)}, {"correlation", offsetof(Record, correlationId)}, \
        {"name", offsetof(Record, name)}, {"graph_node", offsetof(Record, graphNodeId)}, {     \
      "graph", offsetof(Record, graphId)                                                       \
    }                                                                                          \
  }
#define CUPTI_NUMBERS                                                                 \
  {                                                                                   \
    {"success", CUPTI_SUCCESS}, {"invalid_operation", CUPTI_ERROR_INVALID_OPERATION}, \
        {"max_limit_reached", CUPTI_ERROR_MAX_LIMIT_REACHED},                         \
        {"multiple_subscribers", CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED},     \
        {"concurrent_kernel", CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL}, {               \
      "flush_forced", CUPTI_ACTIVITY_FLAG_FLUSH_FORCED                                \
    }                                                                                 \
  }
