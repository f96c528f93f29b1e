// Products of a few rows with weights that are packed once: for decoding, where general routines spend their time on
// packing and on meeting of threads.
#pragma once

#include "simd.h"

#include <cstdint>
#include <memory>

namespace search_r1 {

/// Weights `[n, k]` in panels of kPanel rows each, the last one filled with zeros; within a panel column by column.
class PackedWeights {
 public:
  static constexpr int kPanel = 2 * kWidth;

  PackedWeights(int64_t n, int64_t k);
  int64_t n() const { return n_; }
  int64_t k() const { return k_; }
  int64_t panels() const { return (n_ + kPanel - 1) / kPanel; }
  /// Takes over weights that lie row by row.
  void fill(const float* weights);
  const float* panel(int64_t i) const { return data_.get() + i * k_ * kPanel; }

 private:
  struct Free {
    void operator()(float* data) const;
  };
  int64_t n_, k_;
  std::unique_ptr<float[], Free> data_;
};

/// What a product is added to: rows of `[rows, n]`, or one row for all where `stride` is 0, or nothing.
struct Start {
  const float* data = nullptr;
  int64_t stride = 0;
};

/// `y = start + x · wᵀ` for rows of `x [rows, k]` and `y [rows, n]`, in the columns of some panels.
void multiply(const float* x, int64_t rows, const PackedWeights& w, const Start& start, float* y, int64_t firstPanel, int64_t lastPanel);

/// Rows that the inner loop takes at once; ranges of rows should be multiples of it.
constexpr int64_t kRowBlock = 8;

}  // namespace search_r1
