#include "steering.h"

namespace vhbm::cli {
namespace {

std::string no_answer(pid_t process) {
  return "process " + std::to_string(process) + " does not answer: it can neither sleep nor wake";
}

}  // namespace

std::string put_to_sleep(pid_t process) {
  return no_answer(process);
}
std::string wake_up(pid_t process) {
  return no_answer(process);
}

}  // namespace vhbm::cli
