// Copies as every entry that copies hands them to a stream.
#pragma once

#include <cuda.h>

#include "engine/submit.h"

namespace simgpu {

enum class Timing { synchronous, asynchronous };

// Bytes from the first to the last that the rows of a copy touch.
std::size_t span_of(std::size_t width, std::size_t height, std::size_t depth, std::size_t pitch,
                    std::size_t slice);

// Whether both ends are memory that a copy may touch.
bool can_copy(const CopyWork& work);

// Takes a host source as it is now, so that the copy is of these bytes.
void stage(CopyWork* work);

CopyWork linear(void* to, const void* from, std::size_t size);

CUresult copy(Call& call, CopyWork work, CUstream stream, Timing timing);
// Of a copy that the API describes.
CUresult copy(Call& call, const CUDA_MEMCPY3D& described, CUstream stream, Timing timing);

}  // namespace simgpu
