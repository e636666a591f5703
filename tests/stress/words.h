// What words hold, alike on the GPU and in the host's shadow copies.
#pragma once

#ifdef __CUDACC__
#define STRESS_WORDS static __host__ __device__ __forceinline__
#else
#define STRESS_WORDS static inline
#endif

// The kernel that lingers touches one word in so many, several in each page.
constexpr unsigned long long linger_stride = 4099;

STRESS_WORDS unsigned word_of(unsigned long long index, unsigned seed) {
  unsigned long long x = (index + 1) * 0x9e3779b97f4a7c15ull + seed;
  x ^= x >> 29;
  return static_cast<unsigned>((x * 0xbf58476d1ce4e5b9ull) >> 32);
}

// Words that change places change the sum.
STRESS_WORDS unsigned long long weighted(unsigned long long index, unsigned word) {
  return word * (2 * index + 1);
}
