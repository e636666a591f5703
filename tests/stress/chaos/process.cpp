#include "process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace chaos {
namespace {

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

pid_t start(const Program& program) {
  std::vector<std::string> words = program.words, environment;
  for (char** one = environ; *one != nullptr; ++one) {
    const std::string text = *one;
    if (program.settings.count(text.substr(0, text.find('='))) == 0) environment.push_back(text);
  }
  for (const auto& [name, value] : program.settings) environment.push_back(name + "=" + value);
  const std::vector<char*> arguments = pointers_to(words), variables = pointers_to(environment);
  const pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  dup2(program.output, STDOUT_FILENO);
  dup2(program.output, STDERR_FILENO);
  fcntl(program.inherited, F_SETFD, 0);
  execve(arguments[0], arguments.data(), variables.data());
  _exit(127);
}

}  // namespace chaos
