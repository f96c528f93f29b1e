// What our operators do to one row, for the operators themselves and for recorded programs. Float32, rows contiguous.
#pragma once

#include "cpu_math.h"

#include <cstring>
#include <vector>

namespace search_r1 {

inline void rmsNormRow(float* out, const float* in, const float* weight, int64_t d, float eps) {
  const float inverse = 1.0f / std::sqrt(dot(in, in, d) / static_cast<float>(d) + eps);
#pragma omp simd
  for (int64_t i = 0; i < d; i++) out[i] = in[i] * inverse * weight[i];
}

/// Turns the heads of one token by the angles of its position; `sign` -1 turns back.
inline void ropeRow(float* out, const float* in, const float* cos, const float* sin, int64_t heads, int64_t half, float sign) {
  for (int64_t h = 0; h < heads; h++, in += 2 * half, out += 2 * half) {
#pragma omp simd
    for (int64_t i = 0; i < half; i++) {
      const float turn = sign * sin[i];
      out[i] = in[i] * cos[i] - in[i + half] * turn;
      out[i + half] = in[i + half] * cos[i] + in[i] * turn;
    }
  }
}

inline void swigluRange(float* out, const float* gate, const float* up, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) out[i] = gate[i] / (1.0f + fastExp(-gate[i])) * up[i];
}

/// The blocked cache and which of its tokens the tokens of a batch see.
struct PagedView {
  const float *k, *v;
  const int32_t *table, *seq, *pos;
  int64_t heads, kv, d, blocks, blockSize, sequences, maxBlocks, tokens;
  float scale;
};

/// Whether the table and the positions stay inside the pool; gives the longest context.
int64_t checkPaged(const PagedView& view);

/// Attention of token `t`: `query`, `result [heads, d]`; `scores` grows by need.
void attendRow(const PagedView& view, int64_t t, const float* query, float* result, std::vector<float>& scores);

void checkSlots(const int32_t* slots, int64_t tokens, int64_t places);

struct SampleRow {
  float temperature;
  int32_t topK;
  float topP, uniform;
};

struct Drawn {
  int32_t id;
  float logProb, modelLogProb;
};

/// Draws from one row of `n` logits; `weights` and `sorted` are scratch.
Drawn sampleRow(const float* logits, int64_t n, const SampleRow& how, std::vector<float>& weights, std::vector<float>& sorted);

}  // namespace search_r1
