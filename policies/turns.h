// Who may hold how much of a GPU that several processes share. All fit: everybody has what it
// wants. Those that have work fit: they have it, and the others what is left, the one that had work
// last first. Otherwise they take turns: the one that was served least has what it wants until its
// turn ends, whoever fits beside it runs as well, and the work of the rest waits. A turn is a
// quantum, or as much longer as keeps what changing costs within bounds. Being served
// counts less the more a process weighs (priority, class), and counts for everybody who runs, so
// nobody starves. A process of class `latency` that comes to have work does not wait for the end of
// a `batch` one's quantum, unless it was served more already. Who does not respond keeps what it
// has, and nobody waits for it.
#pragma once

#include "runtime/claim.h"

namespace vhbm {

[[nodiscard]] std::vector<Share> share_out(const Contest& contest);

}  // namespace vhbm
