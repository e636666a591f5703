// Tokens for tests: sequences that share what they should share.
#pragma once

#include <numeric>
#include <vector>

#include "kv_manager.h"

namespace sample_server {

// `count` tokens that start at `first` and go up.
inline std::vector<TokenId> ascending(std::size_t count, TokenId first = 0) {
  std::vector<TokenId> tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

inline std::vector<TokenId> operator+(std::vector<TokenId> front,
                                      const std::vector<TokenId>& back) {
  front.insert(front.end(), back.begin(), back.end());
  return front;
}

}  // namespace sample_server
