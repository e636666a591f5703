// Options that are one of a few words: the words, once, for the command line and for the report.
#pragma once

#include <array>
#include <string>
#include <utility>

#include "decoder.h"
#include "model_shape.h"

namespace sample_server {

enum class Api { driver, runtime };

template <typename T, std::size_t count>
using Choices = std::array<std::pair<const char*, T>, count>;

constexpr Choices<Api, 2> apis{{{"driver", Api::driver}, {"runtime", Api::runtime}}};
constexpr Choices<GraphMode, 3> graph_modes{
    {{"none", GraphMode::none}, {"layer", GraphMode::layer}, {"step", GraphMode::step}}};
constexpr Choices<KvLayout, 2> kv_layouts{
    {{"per-layer", KvLayout::per_layer}, {"cross-layer", KvLayout::cross_layer}}};

template <typename T, std::size_t count>
std::string word_for(const Choices<T, count>& choices, T value) {
  for (const auto& [word, meaning] : choices) {
    if (meaning == value) return word;
  }
  return "?";
}

}  // namespace sample_server
