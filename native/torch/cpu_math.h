// Arithmetic that the compiler turns into vector instructions.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <bit>
#include <cmath>
#include <cstdint>

namespace search_r1 {

/// e^x to 2 ulp without a branch or a call, so that loops over it vectorise. Not a number stays not a number.
inline float fastExp(float x) {
  const float low = x < -87.0f ? -87.0f : x;
  const float bounded = low > 88.0f ? 88.0f : low;
  const float shifted = bounded * 1.44269504f + 12582912.0f;
  const float n = shifted - 12582912.0f;
  const float r = (bounded - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const float power = std::bit_cast<float>((std::bit_cast<int32_t>(shifted) << 23) + 0x3f800000);
  return p * power;
}

inline float dot(const float* a, const float* b, int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

/// y += a x
inline void axpy(float* y, float a, const float* x, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) y[i] += a * x[i];
}

/// The operators below compute in float32, row-major; other types are converted on the way in and out.
inline at::Tensor asFloat(const at::Tensor& x) { return x.to(at::kFloat).contiguous(); }

inline at::Tensor asInt(const at::Tensor& x) { return x.to(at::kInt).contiguous(); }

/// How many rows of `width` elements one task should take at least.
inline int64_t grain(int64_t width) { return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, width)); }

}  // namespace search_r1
