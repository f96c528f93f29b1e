// Our operators on the processor: normalisation, rotary embedding, gated activation, optimizer.
#include "rows.h"

#include <torch/library.h>

namespace search_r1 {
namespace {

at::Tensor rmsNorm(const at::Tensor& xIn, const at::Tensor& weightIn, double eps) {
  const at::Tensor x = asFloat(xIn), weight = asFloat(weightIn), y = at::empty_like(x);
  const int64_t d = x.size(-1), rows = x.numel() / d;
  const float *px = x.const_data_ptr<float>(), *pw = weight.const_data_ptr<float>();
  float* py = y.data_ptr<float>();
  at::parallel_for(0, rows, grain(d), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      rmsNormRow(py + row * d, px + row * d, pw, d, static_cast<float>(eps));
    }
  });
  return y.to(xIn.scalar_type());
}

std::tuple<at::Tensor, at::Tensor> rmsNormGrad(const at::Tensor& xIn, const at::Tensor& weightIn, const at::Tensor& dyIn, double eps) {
  const at::Tensor x = asFloat(xIn), weight = asFloat(weightIn), dy = asFloat(dyIn), dx = at::empty_like(x);
  const int64_t d = x.size(-1), rows = x.numel() / d;
  const int64_t parts = std::max<int64_t>(1, std::min<int64_t>(at::get_num_threads(), rows / grain(d)));
  const at::Tensor partial = at::zeros({parts, d}, x.options());
  const float *px = x.const_data_ptr<float>(), *pw = weight.const_data_ptr<float>(), *pdy = dy.const_data_ptr<float>();
  float *pdx = dx.data_ptr<float>(), *pdw = partial.data_ptr<float>();
  at::parallel_for(0, parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; part++) {
      float* dw = pdw + part * d;
      for (int64_t row = rows * part / parts; row < rows * (part + 1) / parts; row++) {
        const float *in = px + row * d, *up = pdy + row * d;
        float* out = pdx + row * d;
        float squares = 0, projection = 0;
#pragma omp simd reduction(+ : squares, projection)
        for (int64_t i = 0; i < d; i++) {
          squares += in[i] * in[i];
          projection += up[i] * pw[i] * in[i];
        }
        const float inverse = 1.0f / std::sqrt(squares / static_cast<float>(d) + static_cast<float>(eps));
        const float back = projection * inverse * inverse / static_cast<float>(d);
#pragma omp simd
        for (int64_t i = 0; i < d; i++) {
          out[i] = (up[i] * pw[i] - in[i] * back) * inverse;
          dw[i] += up[i] * in[i] * inverse;
        }
      }
    }
  });
  return {dx.to(xIn.scalar_type()), parts == 1 ? partial.select(0, 0) : partial.sum(0)};
}

at::Tensor rope(const at::Tensor& xIn, const at::Tensor& positionsIn, const at::Tensor& cosIn, const at::Tensor& sinIn, bool inverse) {
  const at::Tensor x = asFloat(xIn), cos = asFloat(cosIn), sin = asFloat(sinIn), positions = asInt(positionsIn), y = at::empty_like(x);
  const int64_t tokens = x.size(0), heads = x.size(1), d = x.size(2), half = d / 2, known = cos.size(0);
  const float *px = x.const_data_ptr<float>(), *pc = cos.const_data_ptr<float>(), *ps = sin.const_data_ptr<float>();
  const int32_t* pp = positions.const_data_ptr<int32_t>();
  float* py = y.data_ptr<float>();
  const float sign = inverse ? -1.0f : 1.0f;
  for (int64_t t = 0; t < tokens; t++) TORCH_CHECK(pp[t] >= 0 && pp[t] < known, "position ", pp[t], " is outside the table of ", known, " angles");
  at::parallel_for(0, tokens, grain(heads * d), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) {
      ropeRow(py + t * heads * d, px + t * heads * d, pc + pp[t] * half, ps + pp[t] * half, heads, half, sign);
    }
  });
  return y.to(xIn.scalar_type());
}

at::Tensor swiglu(const at::Tensor& gateIn, const at::Tensor& upIn) {
  const at::Tensor gate = asFloat(gateIn), up = asFloat(upIn), y = at::empty_like(gate);
  const float *pg = gate.const_data_ptr<float>(), *pu = up.const_data_ptr<float>();
  float* py = y.data_ptr<float>();
  at::parallel_for(0, gate.numel(), 16384, [&](int64_t begin, int64_t end) { swigluRange(py + begin, pg + begin, pu + begin, end - begin); });
  return y.to(gateIn.scalar_type());
}

std::tuple<at::Tensor, at::Tensor> swigluGrad(const at::Tensor& gateIn, const at::Tensor& upIn, const at::Tensor& dyIn) {
  const at::Tensor gate = asFloat(gateIn), up = asFloat(upIn), dy = asFloat(dyIn), dGate = at::empty_like(gate), dUp = at::empty_like(gate);
  const float *pg = gate.const_data_ptr<float>(), *pu = up.const_data_ptr<float>(), *pd = dy.const_data_ptr<float>();
  float *pdg = dGate.data_ptr<float>(), *pdu = dUp.data_ptr<float>();
  at::parallel_for(0, gate.numel(), 16384, [&](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; i++) {
      const float sigmoid = 1.0f / (1.0f + fastExp(-pg[i])), silu = pg[i] * sigmoid;
      pdg[i] = pd[i] * pu[i] * (sigmoid + (pg[i] - silu) * sigmoid);
      pdu[i] = pd[i] * silu;
    }
  });
  return {dGate.to(gateIn.scalar_type()), dUp.to(gateIn.scalar_type())};
}

at::Tensor embeddingGrad(const at::Tensor& idsIn, const at::Tensor& dyIn, int64_t vocabulary) {
  const at::Tensor ids = asInt(idsIn), dy = asFloat(dyIn);
  const int64_t tokens = ids.numel(), d = dy.numel() / std::max<int64_t>(1, tokens);
  const at::Tensor table = at::zeros({vocabulary, d}, dy.options());
  const int32_t* pi = ids.const_data_ptr<int32_t>();
  const float* pd = dy.const_data_ptr<float>();
  float* pt = table.data_ptr<float>();
  for (int64_t t = 0; t < tokens; t++) TORCH_CHECK(pi[t] >= 0 && pi[t] < vocabulary, "id ", pi[t], " is outside the vocabulary of ", vocabulary);
  // Each task owns a range of rows, so that no two write to one.
  const int64_t parts = tokens * d < 65536 ? 1 : at::get_num_threads();
  at::parallel_for(0, parts, 1, [&](int64_t first, int64_t last) {
    const int64_t low = vocabulary * first / parts, high = vocabulary * last / parts;
    for (int64_t t = 0; t < tokens; t++) {
      if (pi[t] >= low && pi[t] < high) axpy(pt + pi[t] * d, 1.0f, pd + t * d, d);
    }
  });
  return table;
}

void adamw(const at::Tensor& param, const std::optional<at::Tensor>& low, const at::Tensor& m, const at::Tensor& v, const at::Tensor& gradIn, double lr, double beta1, double beta2,
           double eps, double weightDecay, int64_t step, double gradScale) {
  TORCH_CHECK(param.is_contiguous() && m.is_contiguous() && v.is_contiguous(), "the optimizer's tensors must be contiguous");
  const at::Tensor grad = asFloat(gradIn);
  TORCH_CHECK(grad.numel() == param.numel() && m.numel() == param.numel() && v.numel() == param.numel(), "the optimizer's tensors differ in size");
  float *p = param.data_ptr<float>(), *pm = m.data_ptr<float>(), *pv = v.data_ptr<float>();
  const float* pg = grad.const_data_ptr<float>();
  const float scale = static_cast<float>(gradScale), b1 = static_cast<float>(beta1), b2 = static_cast<float>(beta2), epsilon = static_cast<float>(eps);
  const float c1 = static_cast<float>(1 - beta1), c2 = static_cast<float>(1 - beta2), decay = static_cast<float>(1 - lr * weightDecay);
  const float rate = static_cast<float>(lr / (1 - std::pow(beta1, static_cast<double>(step))));
  const float correction = static_cast<float>(1 / std::sqrt(1 - std::pow(beta2, static_cast<double>(step))));
  at::parallel_for(0, param.numel(), 16384, [&](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; i++) {
      const float g = pg[i] * scale;
      pm[i] = b1 * pm[i] + c1 * g;
      pv[i] = b2 * pv[i] + c2 * g * g;
      p[i] = p[i] * decay - rate * pm[i] / (std::sqrt(pv[i]) * correction + epsilon);
    }
  });
  if (low.has_value() && low->defined()) low->copy_(param);
}

at::Tensor sumSquares(const at::Tensor& xIn) {
  const at::Tensor x = asFloat(xIn);
  const float* px = x.const_data_ptr<float>();
  const double sum = at::parallel_reduce(
      int64_t{0}, x.numel(), int64_t{16384}, 0.0,
      [&](int64_t begin, int64_t end, double part) {
        for (int64_t i = begin; i < end; i += 4096) part += dot(px + i, px + i, std::min<int64_t>(4096, end - i));
        return part;
      },
      [](double a, double b) { return a + b; });
  return at::scalar_tensor(sum, x.options());
}

}  // namespace

TORCH_LIBRARY_IMPL(search_r1, CPU, library) {
  library.impl("rms_norm", rmsNorm);
  library.impl("rms_norm_grad", rmsNormGrad);
  library.impl("rope", rope);
  library.impl("swiglu", swiglu);
  library.impl("swiglu_grad", swigluGrad);
  library.impl("embedding_grad", embeddingGrad);
  library.impl("adamw_", adamw);
  library.impl("sum_squares", sumSquares);
}

}  // namespace search_r1
