// What the user has chosen to see, and what keys change about it. Plain values, as the model is.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model.h"

namespace vhbm::cli {

enum class Key {
  none,   // time passed, or the size changed
  other,  // one that means nothing
#define KEY(name, characters, label, text) name,
#include "keys.def"
#undef KEY
};
// What a character means.
[[nodiscard]] Key key_of(char character);

struct SortOrder {
  const char* name;
  // Whether `a` comes first, the most remarkable in front.
  bool (*before)(const ProcessLine& a, const ProcessLine& b);
};
[[nodiscard]] const std::vector<SortOrder>& sort_orders();

struct View {
  std::optional<Target> chosen;
  std::size_t sort = 0;  // into sort_orders()
  bool reversed = false;
  bool help = false;
  double interval = 1;  // seconds
  std::string message;  // of what was done last
};

// The processes in the order in which they are shown.
[[nodiscard]] std::vector<const ProcessLine*> ordered(const Model& model, const View& view);
// The chosen one, else the first; nullptr when there is none.
[[nodiscard]] const ProcessLine* chosen_of(const Model& model, const View& view);

// Changes the view; what is left to do is the caller's: sleep, wake, quit, or none.
[[nodiscard]] Key press(Key key, const Model& model, View& view);

}  // namespace vhbm::cli
