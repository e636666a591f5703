#include "identity.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <optional>
#include <sstream>

namespace simgpu {
namespace {

std::string without_spaces(std::string text) {
  text.erase(std::remove(text.begin(), text.end(), ' '), text.end());
  return text;
}

std::optional<std::size_t> place_of(const std::string& word, std::size_t count) {
  const bool is_number = !word.empty() && word.size() < 10 &&
                         word.find_first_not_of("0123456789") == std::string::npos;
  for (std::size_t place = 0; place < count; ++place) {
    if (is_number && std::stoul(word) == place) return place;
    const bool is_uuid = word.size() > 4 && Identity(place).uuid_text.rfind(word, 0) == 0;
    if (is_uuid) return place;
  }
  return std::nullopt;
}

}  // namespace

Identity::Identity(std::size_t place) : pci_bus(static_cast<unsigned>(place) + 1) {
  // The last byte tells devices apart, so that a cut UUID may mean several: the first of them then.
  std::memcpy(uuid.data(), "simulated-gpu-00", uuid.size());
  uuid[15] = static_cast<unsigned char>('0' + place);
  uuid_text = "GPU-";
  for (std::size_t i = 0; i < uuid.size(); ++i) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", unsigned{uuid[i]});
    uuid_text += digits;
    if (i == 3 || i == 5 || i == 7 || i == 9) uuid_text += '-';
  }
}

std::vector<std::size_t> visible_devices(const char* list, std::size_t count) {
  std::vector<std::size_t> places;
  if (list == nullptr) {
    places.resize(count);
    std::iota(places.begin(), places.end(), std::size_t{0});
    return places;
  }
  std::istringstream words(list);
  for (std::string word; std::getline(words, word, ',');) {
    const auto place = place_of(without_spaces(word), count);
    if (!place) break;
    if (std::find(places.begin(), places.end(), *place) == places.end()) places.push_back(*place);
  }
  return places;
}

}  // namespace simgpu
