// Physical memory that other processes map too. What travels is a descriptor of the pool's file,
// whose position is that of a record in the same file: which pages, and with what properties. Such
// pages are not handed out again, since nobody tells how long others use them.
// Locking: the caller holds the machine's lock.
#pragma once

#include <memory>

#include "memory/physical_pool.h"

namespace simgpu {

// A new descriptor, the caller's to close; -1 when the system has none.
int export_frame(Frame& frame);

// Where a descriptor's record is, for those who reach the file by another descriptor.
std::int64_t record_of(int file);

// The memory behind a descriptor that export_frame() made, counted in no pool of this process. Null
// for any other. `file` stays the caller's.
std::shared_ptr<Frame> import_frame(int file, std::int64_t record);

}  // namespace simgpu
