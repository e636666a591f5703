// The two ways that bytes go to and from a file: io_uring, and plain reads and writes where
// containers or the kernel forbid that.
#pragma once

#include <memory>
#include <string>

#include "runtime/spill/medium.h"

namespace vhbm {

// ok where io_uring can be had; otherwise the message says why not.
[[nodiscard]] Status ring_status();
// `name` is the disk's, for messages.
[[nodiscard]] Result<std::unique_ptr<Channel>> open_ring_channel(int descriptor,
                                                                 const std::string& name);
// One request at a time, done when begin() returns.
[[nodiscard]] std::unique_ptr<Channel> open_plain_channel(int descriptor, const std::string& name);

// What a failed system call on the disk's file means for its user.
[[nodiscard]] Status disk_failure(const std::string& name, int error);

}  // namespace vhbm
