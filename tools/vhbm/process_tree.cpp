#include "process_tree.h"

#include "ps/proc_folder.h"

namespace vhbm::cli {

bool descends_from(pid_t process, pid_t ancestor) {
  const ProcFolder processes;
  while (process > 1 && process != ancestor) process = processes.parent(process);
  return process == ancestor;
}

}  // namespace vhbm::cli
