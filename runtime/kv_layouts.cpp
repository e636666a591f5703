#include "runtime/kv_layouts.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "runtime/kv_layout_file.h"
#include "runtime/text_file.h"
#include "runtime/words.h"

namespace vhbm {
namespace {

const BuiltInKvLayout* find_built_in(const std::string& name) {
  for (const BuiltInKvLayout& one : built_in_kv_layouts()) {
    if (name == one.name) return &one;
  }
  return nullptr;
}

// Functions that no layout means and that are kept to be told of.
constexpr std::size_t most_functions = 2048;

KvMatch* meant(KvMatch& one) {
  return one.kernel == nullptr ? nullptr : &one;
}

// The files of a folder, by name; the path itself where it is none.
std::vector<std::string> files_of(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) return {path};
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
    if (entry.path().extension() == ".toml") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::string> words_of(const std::string& chosen) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin < chosen.size();) {
    const std::size_t end = std::min(chosen.find(',', begin), chosen.size());
    const std::string_view word = trimmed(std::string_view(chosen).substr(begin, end - begin));
    if (!word.empty()) words.emplace_back(word);
    begin = end + 1;
  }
  return words;
}

std::string accepted() {
  std::vector<std::string> words;
  for (const BuiltInKvLayout& one : built_in_kv_layouts()) words.emplace_back(one.name);
  words.emplace_back("the path of a file or a folder");
  return joined_with_or(words);
}

}  // namespace

std::vector<std::string> load_kv_layout(const std::string& name_or_path, KvLayout& layout) {
  if (const BuiltInKvLayout* const known = find_built_in(name_or_path); known != nullptr) {
    return read_kv_layout(known->text, known->name, layout);
  }
  std::string why;
  const auto text = read_text_file(name_or_path, &why);
  if (!text) {
    const bool a_path =
        name_or_path.find('/') != std::string::npos || name_or_path.ends_with(".toml");
    return {name_or_path + ": " + why + (a_path ? "" : ": expected " + accepted())};
  }
  return read_kv_layout(*text, name_or_path, layout);
}

std::string absolute_kv_layouts(const std::string& chosen) {
  std::string all;
  for (const std::string& word : words_of(chosen)) {
    std::error_code error;
    const std::string meant =
        find_built_in(word) != nullptr ? word : std::filesystem::absolute(word, error).string();
    all += (all.empty() ? "" : ",") + (error ? word : meant);
  }
  return all;
}

Result<std::unique_ptr<KvLayouts>> KvLayouts::load(const std::string& chosen) {
  auto made = std::make_unique<KvLayouts>();
  for (const std::string& word : words_of(chosen)) {
    const std::vector<std::string> files =
        find_built_in(word) != nullptr ? std::vector<std::string>{word} : files_of(word);
    if (files.empty()) {
      return Status(Errc::invalid_value,
                    "kv_layouts: the folder " + word + " has no file that ends in .toml");
    }
    for (const std::string& file : files) {
      const auto refusals = load_kv_layout(file, made->layouts_.emplace_back());
      if (!refusals.empty()) return Status(Errc::invalid_value, "kv_layouts: " + refusals[0]);
    }
  }
  return made;
}

KvMatch* KvLayouts::match(const std::string& function, std::vector<std::uint32_t> sizes) {
  std::lock_guard lock(mutex_);
  for (KvMatch& known : matches_) {
    if (known.function == function && known.sizes == sizes) return meant(known);
  }
  std::vector<KvMatch::Fit> fits;
  for (const KvLayout& layout : layouts_) {
    for (const KvKernel& kernel : layout.kernels) {
      if (!vhbm::matches(kernel.name, function)) continue;
      fits.push_back({&layout, &kernel, misfit(kernel, sizes)});
    }
  }
  // The others are kept for those who write a layout.
  if (fits.empty() && matches_.size() >= most_functions) return nullptr;
  KvMatch& made = matches_.emplace_back();
  made.function = function;
  made.sizes = std::move(sizes);
  made.fits = std::move(fits);
  for (const KvMatch::Fit& fit : made.fits) {
    if (!fit.misfit.empty() || made.kernel != nullptr) continue;
    made.layout = fit.layout;
    made.kernel = fit.kernel;
  }
  return meant(made);
}

std::vector<const KvMatch*> KvLayouts::matches() const {
  std::lock_guard lock(mutex_);
  std::vector<const KvMatch*> all;
  for (const KvMatch& one : matches_) all.push_back(&one);
  return all;
}

}  // namespace vhbm
