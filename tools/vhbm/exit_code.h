// What the command's exit codes mean; those of a started program pass through.
#pragma once

namespace vhbm::cli {

enum ExitCode : int {
  exit_ok = 0,
  exit_no_process = 1,      // stat, regions, off: nobody runs under vHBM, or not that process
  exit_not_attached = 1,    // ps: a GPU process runs without vHBM
  exit_refused = 1,         // config, replay: the file, or a variable, is not accepted
  exit_does_not_fit = 2,    // kv-layout check: it describes no kernel of the process
  exit_already_frozen = 2,  // off
  exit_order_refused = 2,   // sleep, wake, hold, tag, set, record: the process says why
  exit_no_answer = 3,       // off, sleep, wake, hold, tag, set, record: it does not answer
  exit_problem = 1,         // doctor: something that is needed is not there
  exit_no_driver = 2,       // doctor
  exit_not_worth_it = 1,    // plan: the verdict is don't
  exit_usage = 64,          // the command line, or a value on it, is not accepted
  exit_failed = 70,         // something of our own failed, such as writing the summary
  exit_not_executable = 126,
  exit_not_found = 127,
  exit_by_signal = 128,  // plus the signal's number
};

}  // namespace vhbm::cli
