// A study as people and programs read it. Locking: none.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
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

// So many times `other` is `one`; nothing where `other` is nothing and `one` is not.
[[nodiscard]] std::optional<double> times(double one, double other);
// Of the uses that were seen, in percent; as far as there were any.
[[nodiscard]] double foreseen_percent(std::uint64_t foreseen, std::uint64_t seen);

}  // namespace vhbm::replay
