// Distributions over the vocabulary on the processor: log-probabilities with their gradient, and drawing tokens.
#include "rows.h"

#include <torch/library.h>

#include <algorithm>

namespace search_r1 {
namespace {

float highest(const float* x, int64_t n) {
  float high = x[0];
#pragma omp simd reduction(max : high)
  for (int64_t i = 1; i < n; i++) high = x[i] > high ? x[i] : high;
  return high;
}

void checkTargets(const int32_t* targets, int64_t rows, int64_t vocabulary) {
  for (int64_t row = 0; row < rows; row++) TORCH_CHECK(targets[row] >= 0 && targets[row] < vocabulary, "id ", targets[row], " is outside the vocabulary of ", vocabulary);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> logProb(const at::Tensor& logitsIn, const at::Tensor& targetsIn, double inverseTemperature) {
  const at::Tensor logits = asFloat(logitsIn), targets = asInt(targetsIn);
  const int64_t rows = logits.size(0), n = logits.size(1);
  const at::Tensor result = at::empty({3, rows}, logits.options());
  const float* pl = logits.const_data_ptr<float>();
  const int32_t* pt = targets.const_data_ptr<int32_t>();
  checkTargets(pt, rows, n);
  float* pr = result.data_ptr<float>();
  const float scale = static_cast<float>(inverseTemperature);
  at::parallel_for(0, rows, grain(n * 4), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      const float *x = pl + row * n, high = highest(x, n);
      float sum = 0, weighted = 0;
#pragma omp simd reduction(+ : sum, weighted)
      for (int64_t i = 0; i < n; i++) {
        const float shifted = (x[i] - high) * scale, e = fastExp(shifted);
        sum += e;
        weighted += e * shifted;
      }
      const float logSum = std::log(sum);
      pr[row] = (x[pt[row]] - high) * scale - logSum;
      pr[rows + row] = logSum - weighted / sum;
      pr[2 * rows + row] = high * scale + logSum;
    }
  });
  return {result.select(0, 0), result.select(0, 1), result.select(0, 2)};
}

at::Tensor logProbGrad(const at::Tensor& logitsIn, const at::Tensor& targetsIn, const at::Tensor& lse, const at::Tensor& entropy, const at::Tensor& dLogProb,
                       const at::Tensor& dEntropy, double inverseTemperature, at::ScalarType type) {
  const at::Tensor logits = asFloat(logitsIn), targets = asInt(targetsIn), l = asFloat(lse), h = asFloat(entropy), dl = asFloat(dLogProb), dh = asFloat(dEntropy);
  const int64_t rows = logits.size(0), n = logits.size(1);
  const at::Tensor result = at::empty_like(logits);
  const float *px = logits.const_data_ptr<float>(), *pl = l.const_data_ptr<float>(), *ph = h.const_data_ptr<float>(), *pdl = dl.const_data_ptr<float>(),
              *pdh = dh.const_data_ptr<float>();
  const int32_t* pt = targets.const_data_ptr<int32_t>();
  checkTargets(pt, rows, n);
  float* pr = result.data_ptr<float>();
  const float scale = static_cast<float>(inverseTemperature);
  at::parallel_for(0, rows, grain(n * 4), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      const float *x = px + row * n, d = pdl[row], de = pdh[row], offset = ph[row], logSum = pl[row];
      float* out = pr + row * n;
#pragma omp simd
      for (int64_t i = 0; i < n; i++) {
        const float own = x[i] * scale - logSum;
        out[i] = -fastExp(own) * (d + de * (own + offset)) * scale;
      }
      out[pt[row]] += d * scale;
    }
  });
  return result.to(type);
}

/// The weight that a token must have to stay: top-k first, then the ranks before which less than top-p of its mass lies.
float threshold(const float* weights, int64_t n, int64_t topK, float topP, float sum, std::vector<float>& sorted) {
  sorted.assign(weights, weights + n);
  const int64_t limit = topK > 0 && topK < n ? topK : n;
  std::partial_sort(sorted.begin(), sorted.begin() + limit, sorted.end(), std::greater<float>());
  if (topP >= 1.0f) return sorted[limit - 1];
  double mass = sum;
  if (limit < n) {
    mass = 0;
    for (int64_t i = 0; i < n; i++) mass += weights[i] >= sorted[limit - 1] ? weights[i] : 0.0f;
  }
  mass *= topP;
  double before = 0;
  int64_t last = 0;
  for (int64_t rank = 0; rank < limit && (rank == 0 || before < mass); rank++) {
    last = rank;
    before += sorted[rank];
  }
  return sorted[last];
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> sample(const at::Tensor& logitsIn, const at::Tensor& temperatureIn, const at::Tensor& topKIn, const at::Tensor& topPIn,
                                                      const at::Tensor& uniformIn) {
  const at::Tensor logits = asFloat(logitsIn), temperature = asFloat(temperatureIn), topK = asInt(topKIn), topP = asFloat(topPIn), uniform = asFloat(uniformIn);
  const int64_t rows = logits.size(0), n = logits.size(1);
  const at::Tensor ids = at::empty({rows}, logits.options().dtype(at::kInt)), logProbs = at::empty({rows}, logits.options()), model = at::empty({rows}, logits.options());
  const float *pl = logits.const_data_ptr<float>(), *pt = temperature.const_data_ptr<float>(), *pp = topP.const_data_ptr<float>(), *pu = uniform.const_data_ptr<float>();
  const int32_t* pk = topK.const_data_ptr<int32_t>();
  int32_t* pi = ids.data_ptr<int32_t>();
  float *po = logProbs.data_ptr<float>(), *pm = model.data_ptr<float>();
  at::parallel_for(0, rows, grain(n * 8), [&](int64_t begin, int64_t end) {
    std::vector<float> weights, sorted;
    for (int64_t row = begin; row < end; row++) {
      const Drawn drawn = sampleRow(pl + row * n, n, {pt[row], pk[row], pp[row], pu[row]}, weights, sorted);
      pi[row] = drawn.id;
      po[row] = drawn.logProb;
      pm[row] = drawn.modelLogProb;
    }
  });
  return {ids, logProbs, model};
}

}  // namespace

Drawn sampleRow(const float* x, int64_t n, const SampleRow& how, std::vector<float>& weights, std::vector<float>& sorted) {
  if (weights.size() < static_cast<size_t>(n)) weights.resize(static_cast<size_t>(n));
  const float high = highest(x, n);
  const auto exponentials = [&](float scale) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) {
      weights[i] = fastExp((x[i] - high) * scale);
      sum += weights[i];
    }
    return sum;
  };
  const float modelSum = exponentials(1.0f);
  int64_t chosen = 0;
  float own = 0;
  if (how.temperature == 0.0f) {
    chosen = std::find(x, x + n, high) - x;
    chosen = chosen == n ? 0 : chosen;
  } else {
    const float sum = how.temperature == 1.0f ? modelSum : exponentials(1.0f / how.temperature);
    const bool truncated = (how.topK > 0 && how.topK < n) || how.topP < 1.0f;
    const float least = truncated ? threshold(weights.data(), n, how.topK, how.topP, sum, sorted) : 0.0f;
    double total = 0;
#pragma omp simd reduction(+ : total)
    for (int64_t i = 0; i < n; i++) total += weights[i] >= least ? weights[i] : 0.0f;
    const double bound = how.uniform * total;
    double cumulated = 0;
    for (int64_t i = 0; i < n; i++) {
      if (weights[i] < least || weights[i] <= 0.0f) continue;
      chosen = i;
      cumulated += weights[i];
      if (cumulated > bound) break;
    }
    own = static_cast<float>(std::log(weights[chosen] / total));
  }
  return {static_cast<int32_t>(chosen), own, x[chosen] - high - std::log(modelSum)};
}

TORCH_LIBRARY_IMPL(search_r1, CPU, library) {
  library.impl("log_prob", logProb);
  library.impl("log_prob_grad", logProbGrad);
  library.impl("sample", sample);
}

}  // namespace search_r1
