#include "gemm.h"

#include <algorithm>
#include <new>

namespace search_r1 {

static constexpr int kPanel = PackedWeights::kPanel;
static constexpr std::align_val_t kAlignment{64};

#if defined(__AVX512F__)
static constexpr int kMost = 8;
#else
static constexpr int kMost = 4;
#endif

void PackedWeights::Free::operator()(float* data) const { ::operator delete[](data, kAlignment); }

PackedWeights::PackedWeights(int64_t n, int64_t k)
    : n_(n), k_(k), data_(static_cast<float*>(::operator new[](static_cast<size_t>((n + kPanel - 1) / kPanel * kPanel * k) * sizeof(float), kAlignment))) {}

void PackedWeights::fill(const float* weights) {
  float* to = data_.get();
  for (int64_t first = 0; first < n_; first += kPanel) {
    const int64_t own = std::min<int64_t>(kPanel, n_ - first);
    for (int64_t i = 0; i < k_; i++, to += kPanel) {
      for (int64_t j = 0; j < own; j++) to[j] = weights[(first + j) * k_ + i];
      std::fill(to + own, to + kPanel, 0.0f);
    }
  }
}

/// `count` rows, one panel, all sums in registers.
template <int count>
static void block(const float* x, int64_t k, const float* panel, const float* start, int64_t startStride, float* y, int64_t yStride) {
  Vector sums[count][2];
#pragma GCC unroll 16
  for (int r = 0; r < count; r++) {
    if (start == nullptr) {
      sums[r][0] = sums[r][1] = Vector{};
    } else {
      sums[r][0] = load(start + r * startStride);
      sums[r][1] = load(start + r * startStride + kWidth);
    }
  }
  for (int64_t i = 0; i < k; i++, panel += kPanel) {
    const Vector low = load(panel), high = load(panel + kWidth);
#pragma GCC unroll 16
    for (int r = 0; r < count; r++) {
      const float own = x[r * k + i];
      sums[r][0] += own * low;
      sums[r][1] += own * high;
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < count; r++) {
    store(y + r * yStride, sums[r][0]);
    store(y + r * yStride + kWidth, sums[r][1]);
  }
}

static void blockOf(int64_t count, const float* x, int64_t k, const float* panel, const float* start, int64_t startStride, float* y, int64_t yStride) {
  switch (count) {
    case 1: return block<1>(x, k, panel, start, startStride, y, yStride);
    case 2: return block<2>(x, k, panel, start, startStride, y, yStride);
    case 3: return block<3>(x, k, panel, start, startStride, y, yStride);
    case 4: return block<4>(x, k, panel, start, startStride, y, yStride);
#if defined(__AVX512F__)
    case 5: return block<5>(x, k, panel, start, startStride, y, yStride);
    case 6: return block<6>(x, k, panel, start, startStride, y, yStride);
    case 7: return block<7>(x, k, panel, start, startStride, y, yStride);
    default: return block<8>(x, k, panel, start, startStride, y, yStride);
#else
    default: return block<4>(x, k, panel, start, startStride, y, yStride);
#endif
  }
}

void multiply(const float* x, int64_t rows, const PackedWeights& w, const Start& start, float* y, int64_t firstPanel, int64_t lastPanel) {
  const int64_t n = w.n(), k = w.k();
  for (int64_t p = firstPanel; p < lastPanel; p++) {
    const int64_t column = p * kPanel, own = std::min<int64_t>(kPanel, n - column);
    for (int64_t r = 0; r < rows; r += kMost) {
      const int64_t count = std::min<int64_t>(kMost, rows - r);
      const float* from = start.data == nullptr ? nullptr : start.data + r * start.stride + column;
      if (own == kPanel) {
        blockOf(count, x + r * k, k, w.panel(p), from, start.stride, y + r * n + column, n);
        continue;
      }
      float edge[kMost * kPanel] = {};
      for (int64_t i = 0; from != nullptr && i < count; i++) std::copy(from + i * start.stride, from + i * start.stride + own, edge + i * kPanel);
      blockOf(count, x + r * k, k, w.panel(p), edge, kPanel, edge, kPanel);
      for (int64_t i = 0; i < count; i++) std::copy(edge + i * kPanel, edge + i * kPanel + own, y + (r + i) * n + column);
    }
  }
}

}  // namespace search_r1
