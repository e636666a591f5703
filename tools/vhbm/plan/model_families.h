// From a model's config.json to its shape, family by family.
#pragma once

#include <string>
#include <vector>

#include "model_config.h"
#include "model_shape.h"

namespace vhbm::plan {

struct ShapeRead {
  ModelShape shape;
  std::vector<std::string> refusals;  // empty when the shape is good
};

// What the file says; `family` stands for its "model_type" where it is not empty. Weights are
// estimated from the parameters and the precision that the file names.
[[nodiscard]] ShapeRead read_shape(ModelConfig config, const std::string& family);

// Every model_type that is understood.
[[nodiscard]] std::vector<std::string> known_families();

}  // namespace vhbm::plan
