// Vectors of floats as wide as the processor's, by the extension that GCC and clang share.
#pragma once

#include <cstring>
#include <utility>

namespace search_r1 {

#if defined(__AVX512F__)
constexpr int kWidth = 16;
#elif defined(__AVX__)
constexpr int kWidth = 8;
#else
constexpr int kWidth = 4;
#endif

typedef float Vector __attribute__((vector_size(kWidth * sizeof(float))));
typedef int Lanes __attribute__((vector_size(kWidth * sizeof(int))));

inline Vector load(const float* from) {
  Vector value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

inline void store(float* to, Vector value) { std::memcpy(to, &value, sizeof(value)); }

/// Of each two groups of `size` lanes of `a` and of `b` their sum: groups of `a` and of `b` take turns in the result.
template <int size, int... lane>
inline Vector sumOfGroups(Vector a, Vector b, std::integer_sequence<int, lane...>) {
  constexpr auto from = [](int i) { return i / (2 * size) * 2 * size + i % size + (i % (2 * size) < size ? 0 : kWidth); };
#if defined(__clang__)
  return __builtin_shufflevector(a, b, from(lane)...) + __builtin_shufflevector(a, b, (from(lane) + size)...);
#else
  return __builtin_shuffle(a, b, Lanes{from(lane)...}) + __builtin_shuffle(a, b, Lanes{(from(lane) + size)...});
#endif
}

/// Lane `i` of the result is the sum of the lanes of `values[i]`; the values are overwritten.
template <int size = 1>
inline Vector sums(Vector* values) {
  if constexpr (size == kWidth) {
    return values[0];
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < kWidth / size / 2; i++) values[i] = sumOfGroups<size>(values[2 * i], values[2 * i + 1], std::make_integer_sequence<int, kWidth>());
    return sums<2 * size>(values);
  }
}

}  // namespace search_r1
