// A model as it lies on disk: a folder with config.json and weights, or a config.json alone.
#pragma once

#include <string>

#include "model_families.h"

namespace vhbm::plan {

// Reads `path`: a folder, its config.json, or any file of that form. What the weights come to is
// taken from model.safetensors.index.json or the headers of *.safetensors where they are there,
// else it stays the estimate. Refusals name file, key, value and what is accepted.
[[nodiscard]] ShapeRead read_model(const std::string& path, const std::string& family);

}  // namespace vhbm::plan
