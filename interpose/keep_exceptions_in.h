// Does work from which nothing may be thrown into the application; what fails is told.
#pragma once

#include <exception>

#include "runtime/log.h"

namespace vhbm::interpose {

template <typename Work>
void keep_exceptions_in(Work&& work) noexcept {
  try {
    work();
  } catch (const std::exception& error) {
    log_line(LogLevel::warn, error.what());
  }
}

}  // namespace vhbm::interpose
