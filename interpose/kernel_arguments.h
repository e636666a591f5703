// Which words of a launch's arguments may be addresses: every aligned word of every parameter, also
// inside structures passed by value. The layout of a kernel's parameters is asked of the driver once.
// Locking: none on the path of a launch whose kernel is known.
#pragma once

#include <cuda.h>

#include "interpose/submission.h"

namespace vhbm::interpose {

// Names to `work` what the launch's arguments hold. Hot.
void name_arguments(Submission& work, CUfunction function, void** parameters, void** extra) noexcept;

// Calls `word(value)` for each aligned word of the arguments. For graph nodes; not hot.
using Word = void (*)(CUdeviceptr value, void* user);
void for_each_argument_word(CUfunction function, void** parameters, void** extra, Word word,
                            void* user) noexcept;

// A module is about to be unloaded: its functions' handles may come back meaning others.
void forget_functions() noexcept;

}  // namespace vhbm::interpose
