// A digest over everything a run puts out that does not depend on the order in which requests were
// served: each sequence hashes its own outputs, and the digests are hashed in order of requests.
#pragma once

#include <xxhash.h>

#include <cstdio>
#include <string>

#include "sequence.h"

namespace sample_server {

inline void start_digest(Sequence& sequence) {
  XXH3_128bits_reset(&sequence.outputs);
}

inline void add_output(Sequence& sequence, const float* logits, std::size_t vocabulary,
                       TokenId token) {
  XXH3_128bits_update(&sequence.outputs, logits, vocabulary * sizeof(float));
  XXH3_128bits_update(&sequence.outputs, &token, sizeof(token));
}

template <typename Sequences>
std::string digest_of(const Sequences& sequences) {
  XXH3_state_t all;
  XXH3_128bits_reset(&all);
  for (const Sequence& sequence : sequences) {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&sequence.outputs));
    XXH3_128bits_update(&all, canonical.digest, sizeof(canonical.digest));
  }
  const XXH128_hash_t hash = XXH3_128bits_digest(&all);
  char text[33];
  std::snprintf(text, sizeof(text), "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return text;
}

}  // namespace sample_server
