// A study as people and programs read it. Locking: none.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "replay/study.h"

namespace vhbm::replay {

// What the study is of, and by which rates.
struct Told {
  std::string file;
  std::string hbm_rate_from, link_rate_from;  // "by --link", "measured", ...
};

[[nodiscard]] std::string report_text(const Recorded& recorded, const Choices& choices,
                                      const Study& study, const Told& told);
[[nodiscard]] nlohmann::ordered_json report_json(const Recorded& recorded, const Choices& choices,
                                                 const Study& study, const Told& told);

// `one` of `other`; 1 where both are nothing, 0 where only the other is.
[[nodiscard]] double times(double one, double other);
// Of the uses that were seen, in percent; as far as there were any.
[[nodiscard]] double foreseen_percent(std::uint64_t foreseen, std::uint64_t seen);

}  // namespace vhbm::replay
