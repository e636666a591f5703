// The verdict on a plan, which can be "don't", and what would change it.
#pragma once

#include <string>
#include <vector>

#include "planner.h"

namespace vhbm::plan {

enum class Answer {
  not_needed,  // all of it fits into HBM
  worth_it,
  no,
};

[[nodiscard]] const char* name_of(Answer answer);

// A reason for the answer, or a change that cures it: `about` for programs, `text` with its
// figures.
struct Point {
  std::string about;
  std::string text;

  bool operator==(const Point&) const = default;
};

struct Verdict {
  Answer answer = Answer::not_needed;
  std::vector<Point> reasons;
  // Each alone leads to another answer than no; empty unless the answer is no.
  std::vector<Point> instead;
};

// Steps that get slower than this are worth no memory.
constexpr double slowest_worth = 2.0;

[[nodiscard]] Verdict judge(const Workload& workload);

}  // namespace vhbm::plan
