// A device profile as the tests see it: read here line by line, so that what they expect does not
// come from the driver's own reading.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <string>

class ProfileFile {
 public:
  explicit ProfileFile(const std::string& path) {
    std::ifstream file(path);
    std::string line, section;
    while (std::getline(file, line)) {
      const auto equals = line.find(" = ");
      if (line[0] == '[') section = line.substr(1, line.find(']') - 1) + ".";
      if (line[0] != '#' && equals != std::string::npos) {
        values_[section + line.substr(0, equals)] = std::atof(line.c_str() + equals + 3);
      }
    }
  }

  // Seconds, of a key in microseconds; 0 when it is left out.
  [[nodiscard]] double cost(const std::string& key) const {
    const auto found = values_.find(key);
    return found == values_.end() ? 0 : found->second * 1e-6;
  }
  // Bytes a second.
  [[nodiscard]] double rate(const std::string& key) const {
    const auto found = values_.find(key);
    if (found != values_.end()) return found->second * 1e9;
    ADD_FAILURE() << "the profile has no " << key;
    return 1;
  }

 private:
  std::map<std::string, double> values_;
};
