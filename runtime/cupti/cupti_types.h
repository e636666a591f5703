// The few types of CUPTI that kernel times need. Its headers are a package of the toolkit's that
// need not be where vHBM is built, so they are declared here: layouts and numbers are those of
// cupti_activity.h, cupti_callbacks.h and cupti_result.h of CUDA 12.0 to 13.0. A test compares them
// with the headers where they are found.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>

namespace vhbm {

// CUptiResult: any number, of which only these are told apart.
enum class CuptiResult : int {
  success = 0,
  invalid_operation = 7,
  max_limit_reached = 12,
  multiple_subscribers = 39,
};

// CUpti_ActivityKind. Kernels as they run side by side; the other kind lets them run one at a time.
enum class CuptiActivityKind : int { concurrent_kernel = 10 };

// CUpti_ActivityFlag: deliver buffers that are not complete, too.
inline constexpr std::uint32_t cupti_flush_forced = 1u << 0;

struct CuptiActivity {  // CUpti_Activity: what every record begins with
  CuptiActivityKind kind;
};

// What CUpti_ActivityKernel5 (CUDA 11.0) to CUpti_ActivityKernel10 (CUDA 13.0) begin with. Each is
// the one before it with members added at its end, and cuptiActivityGetNextRecord() knows how long
// the records of its version are.
struct CuptiKernelRecord {
  CuptiActivityKind kind;
  std::uint8_t cache_config, shared_memory_config;
  std::uint16_t registers;
  std::int32_t global_cache_requested, global_cache_executed;
  std::uint64_t start, end;  // both 0: no times could be had
  std::uint64_t completed;
  std::uint32_t device, context, stream;
  std::int32_t grid[3], block[3];
  std::int32_t static_shared, dynamic_shared;
  std::uint32_t local_per_thread, local_total;
  std::uint32_t correlation;
  std::int64_t grid_id;
  const char* name;
  void* reserved;
  std::uint64_t queued, submitted;
  std::uint8_t launch_type, carveout_requested, carveout, padding;
  std::uint32_t shared_executed;
  std::uint64_t graph_node;
  std::int32_t shared_limit;
  std::uint32_t graph;  // 0: launched outside any
};

using CuptiSubscriber = struct CUpti_Subscriber_st*;
using CuptiCallback = void (*)(void* data, int domain, std::uint32_t id, const void* info);
using CuptiBufferRequested = void (*)(std::uint8_t** buffer, std::size_t* size,
                                      std::size_t* most_records);
using CuptiBufferCompleted = void (*)(CUcontext context, std::uint32_t stream, std::uint8_t* buffer,
                                      std::size_t size, std::size_t valid);

// cuptiGetVersion: CUPTI_API_VERSION of CUDA 12.0, whose records have all that is read here.
inline constexpr std::uint32_t oldest_cupti = 19;

}  // namespace vhbm
