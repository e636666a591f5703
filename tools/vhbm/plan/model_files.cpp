// The layout of a .safetensors file: 8 bytes, little-endian, the length of a header; the header, a
// JSON object of tensors, each with "dtype", "shape" and "data_offsets"; then the data
// (https://github.com/huggingface/safetensors#format).
#include "model_files.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

namespace vhbm::plan {
namespace fs = std::filesystem;
namespace {

constexpr std::uint64_t longest_config = 16 << 20;
constexpr std::uint64_t longest_header = 100'000'000;  // what the format itself allows

// The text of a file; nullopt, with the refusal, where it cannot be had.
std::optional<std::string> text_of(const fs::path& file, std::vector<std::string>& refusals) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(file, error);
  std::ifstream in(file, std::ios::binary);
  if (error || !in) {
    refusals.push_back(file.string() + ": cannot be read; accepted: a folder with a config.json, " +
                       "or such a file");
    return std::nullopt;
  }
  if (size > longest_config) {
    refusals.push_back(file.string() + ": is too long for a config.json; accepted: at most 16 MiB");
    return std::nullopt;
  }
  return std::string(std::istreambuf_iterator<char>(in), {});
}

std::optional<nlohmann::json> json_of(const fs::path& file, std::vector<std::string>& refusals) {
  const auto text = text_of(file, refusals);
  if (!text) return std::nullopt;
  // What is no JSON is "discarded" here: no exception, and no position either.
  nlohmann::json parsed = nlohmann::json::parse(*text, nullptr, false);
  if (parsed.is_object()) return parsed;
  refusals.push_back(file.string() +
                     (parsed.is_discarded() ? ": is no JSON" : ": is JSON, but no object") +
                     "; accepted: a JSON object, as Hugging Face's config.json");
  return std::nullopt;
}

// What the tensors of one file take; 0 where its header cannot be understood.
double bytes_of_tensors(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::array<unsigned char, 8> length_bytes{};
  if (!in.read(reinterpret_cast<char*>(length_bytes.data()), length_bytes.size())) return 0;
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < length_bytes.size(); ++i) {
    length |= static_cast<std::uint64_t>(length_bytes[i]) << (8 * i);
  }
  std::error_code error;
  const std::uintmax_t size = fs::file_size(file, error);
  if (error || length > longest_header || length > size - length_bytes.size()) return 0;
  std::string header(length, '\0');
  if (!in.read(header.data(), static_cast<std::streamsize>(length))) return 0;
  const nlohmann::json tensors = nlohmann::json::parse(header, nullptr, false);
  if (!tensors.is_object()) return 0;
  double sum = 0;
  for (const auto& [name, tensor] : tensors.items()) {
    if (name == "__metadata__" || !tensor.is_object()) continue;
    const auto offsets = tensor.find("data_offsets");
    if (offsets == tensor.end() || !offsets->is_array() || offsets->size() != 2 ||
        !(*offsets)[0].is_number_unsigned() || !(*offsets)[1].is_number_unsigned()) {
      return 0;
    }
    sum += (*offsets)[1].get<double>() - (*offsets)[0].get<double>();
  }
  return sum;
}

// What lies beside the configuration, if anything does.
void weigh_files(const fs::path& folder, ShapeRead& model) {
  std::error_code error;
  const fs::path index = folder / "model.safetensors.index.json";
  if (fs::exists(index, error)) {
    const auto parsed = json_of(index, model.refusals);
    if (!parsed) return;
    const auto metadata = parsed->find("metadata");
    if (metadata != parsed->end() && metadata->is_object() && metadata->contains("total_size")) {
      const nlohmann::json& total = (*metadata)["total_size"];
      if (!total.is_number() || total.get<double>() < 1) {
        model.refusals.push_back(index.string() + ": metadata.total_size = " + total.dump() +
                                 "; accepted: a number of bytes");
        return;
      }
      model.shape.weight_bytes = total.get<double>();
      model.shape.weights_from = index.filename().string();
      return;
    }
  }
  double sum = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() != ".safetensors") continue;
    const double bytes = bytes_of_tensors(entry.path());
    if (bytes == 0) {
      model.refusals.push_back(
          entry.path().string() +
          ": its header is not understood; accepted: " + "a whole .safetensors file");
      return;
    }
    sum += bytes;
  }
  if (sum == 0) return;
  model.shape.weight_bytes = sum;
  model.shape.weights_from = "the headers of *.safetensors";
}

}  // namespace

ShapeRead read_model(const std::string& path, const std::string& family) {
  std::error_code error;
  const bool folder = fs::is_directory(path, error);
  const fs::path file = folder ? fs::path(path) / "config.json" : fs::path(path);
  ShapeRead model;
  const auto object = json_of(file, model.refusals);
  if (!object) return model;
  model = read_shape(ModelConfig(file.string(), *object), family);
  if (!model.refusals.empty()) return model;
  const fs::path named = fs::weakly_canonical(file, error);
  const bool usual = named.filename() == "config.json";
  model.shape.name = usual ? named.parent_path().filename().string() : named.stem().string();
  if (usual) weigh_files(file.has_parent_path() ? file.parent_path() : fs::path("."), model);
  return model;
}

}  // namespace vhbm::plan
