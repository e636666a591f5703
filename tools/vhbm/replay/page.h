// A study as one self-contained page: curves over sizes of HBM, and what really happened. Locking:
// none.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "replay/recorded.h"
#include "runtime/status.h"

namespace vhbm::replay {

// `study` as report_json() makes it.
//   Errc::system_error  the file cannot be written; says why
[[nodiscard]] Status write_page(const Recorded& recorded, const nlohmann::ordered_json& study,
                                const std::string& path);

}  // namespace vhbm::replay
