// The depth of hooks on this thread. Initial-exec: the library is there when the process starts.
#include "interpose/hook_scope.h"

namespace vhbm::interpose {

constinit thread_local int HookScope::depth_ = 0;

}  // namespace vhbm::interpose
