// Attention on the processor: packed sequences through ATen's flash attention, the blocked cache by a kernel of our own.
#include "cpu_math.h"

#include <torch/library.h>

namespace search_r1 {
namespace {

/// Neighbouring sequences of one length go through ATen together.
struct Run {
  int64_t begin, sequences, length;
};

std::vector<Run> runsOf(at::IntArrayRef cuSeqlens, int64_t tokens) {
  TORCH_CHECK(cuSeqlens.size() >= 2 && cuSeqlens.front() == 0 && cuSeqlens.back() == tokens, "cuSeqlens must go from 0 to the number of tokens, ", tokens);
  std::vector<Run> runs;
  for (size_t i = 0; i + 1 < cuSeqlens.size(); i++) {
    const int64_t length = cuSeqlens[i + 1] - cuSeqlens[i];
    TORCH_CHECK(length >= 0, "cuSeqlens must not decrease");
    if (length == 0) continue;
    if (!runs.empty() && runs.back().length == length) {
      runs.back().sequences++;
    } else {
      runs.push_back({cuSeqlens[i], 1, length});
    }
  }
  return runs;
}

/// `[T, H, D]` → `[n, H, L, D]` of a run, key and value heads repeated for the queries that share them.
at::Tensor rowsOf(const at::Tensor& x, const Run& run, int64_t group) {
  const at::Tensor rows = x.narrow(0, run.begin, run.sequences * run.length).view({run.sequences, run.length, x.size(1), x.size(2)}).transpose(1, 2);
  return group == 1 ? rows : rows.repeat_interleave(group, 1);
}

std::tuple<at::Tensor, at::Tensor> attention(const at::Tensor& qIn, const at::Tensor& kIn, const at::Tensor& vIn, at::IntArrayRef cuSeqlens, double scale) {
  const at::Tensor q = asFloat(qIn), k = asFloat(kIn), v = asFloat(vIn);
  const int64_t tokens = q.size(0), heads = q.size(1), d = q.size(2), group = heads / k.size(1);
  const at::Tensor out = at::empty_like(q), lse = at::empty({tokens, heads}, q.options());
  for (const Run& run : runsOf(cuSeqlens, tokens)) {
    const auto [o, l] = at::_scaled_dot_product_flash_attention_for_cpu(rowsOf(q, run, 1), rowsOf(k, run, group), rowsOf(v, run, group), 0.0, true, std::nullopt, scale);
    const int64_t size = run.sequences * run.length;
    out.narrow(0, run.begin, size).view({run.sequences, run.length, heads, d}).copy_(o.transpose(1, 2));
    lse.narrow(0, run.begin, size).view({run.sequences, run.length, heads}).copy_(l.view({run.sequences, heads, run.length}).transpose(1, 2));
  }
  return {out.to(qIn.scalar_type()), lse};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> attentionGrad(const at::Tensor& qIn, const at::Tensor& kIn, const at::Tensor& vIn, const at::Tensor& outIn, const at::Tensor& lse,
                                                             const at::Tensor& doutIn, at::IntArrayRef cuSeqlens, double scale) {
  const at::Tensor q = asFloat(qIn), k = asFloat(kIn), v = asFloat(vIn), out = asFloat(outIn), dout = asFloat(doutIn);
  const int64_t heads = q.size(1), kv = k.size(1), d = q.size(2), group = heads / kv;
  const at::Tensor dq = at::empty_like(q), dk = at::empty_like(k), dv = at::empty_like(v);
  for (const Run& run : runsOf(cuSeqlens, q.size(0))) {
    const int64_t size = run.sequences * run.length;
    const at::Tensor l = lse.narrow(0, run.begin, size).view({run.sequences, run.length, heads}).transpose(1, 2).contiguous();
    const auto [gq, gk, gv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(rowsOf(dout, run, 1), rowsOf(q, run, 1), rowsOf(k, run, group), rowsOf(v, run, group),
                                                                                       rowsOf(out, run, 1), l, 0.0, true, std::nullopt, scale);
    dq.narrow(0, run.begin, size).view({run.sequences, run.length, heads, d}).copy_(gq.transpose(1, 2));
    const auto gather = [&](const at::Tensor& into, const at::Tensor& gradient) {
      const at::Tensor target = into.narrow(0, run.begin, size).view({run.sequences, run.length, kv, d});
      if (group == 1) {
        target.copy_(gradient.transpose(1, 2));
      } else {
        target.copy_(gradient.reshape({run.sequences, kv, group, run.length, d}).sum(2).transpose(1, 2));
      }
    };
    gather(dk, gk);
    gather(dv, gv);
  }
  return {dq.to(qIn.scalar_type()), dk.to(kIn.scalar_type()), dv.to(vIn.scalar_type())};
}

at::Tensor pagedAttention(const at::Tensor& qIn, const at::Tensor& kPoolIn, const at::Tensor& vPoolIn, const at::Tensor& tableIn, const at::Tensor& seqIn, const at::Tensor& posIn,
                          double scale) {
  const at::Tensor q = asFloat(qIn), kPool = asFloat(kPoolIn), vPool = asFloat(vPoolIn), table = asInt(tableIn), seq = asInt(seqIn), pos = asInt(posIn), out = at::empty_like(q);
  const int64_t tokens = q.size(0), heads = q.size(1), d = q.size(2), blocks = kPool.size(0), blockSize = kPool.size(1), kv = kPool.size(2), group = heads / kv;
  const int64_t sequences = table.size(0), maxBlocks = table.size(1), stride = kv * d;
  const float *pq = q.const_data_ptr<float>(), *pk = kPool.const_data_ptr<float>(), *pv = vPool.const_data_ptr<float>();
  const int32_t *pt = table.const_data_ptr<int32_t>(), *ps = seq.const_data_ptr<int32_t>(), *pp = pos.const_data_ptr<int32_t>();
  float* po = out.data_ptr<float>();
  int64_t longest = 0;
  for (int64_t t = 0; t < tokens; t++) {
    TORCH_CHECK(ps[t] >= 0 && ps[t] < sequences && pp[t] >= 0 && pp[t] < maxBlocks * blockSize, "token ", t, " points outside the block table");
    longest = std::max<int64_t>(longest, pp[t] + 1);
    for (int64_t b = 0; b <= pp[t] / blockSize; b++) {
      const int32_t block = pt[ps[t] * maxBlocks + b];
      TORCH_CHECK(block >= 0 && block < blocks, "block ", block, " is outside the pool of ", blocks);
    }
  }
  at::parallel_for(0, tokens * kv, grain(longest * d * group), [&](int64_t begin, int64_t end) {
    std::vector<float> scores(static_cast<size_t>(group * longest));
    for (int64_t task = begin; task < end; task++) {
      const int64_t t = task / kv, head = task % kv, length = pp[t] + 1;
      const int32_t* own = pt + ps[t] * maxBlocks;
      const float* query = pq + (t * heads + head * group) * d;
      float* result = po + (t * heads + head * group) * d;
      for (int64_t p = 0; p < length; p++) {
        const float* key = pk + (own[p / blockSize] * blockSize + p % blockSize) * stride + head * d;
        for (int64_t g = 0; g < group; g++) scores[g * length + p] = dot(query + g * d, key, d) * static_cast<float>(scale);
      }
      for (int64_t g = 0; g < group; g++) {
        float* row = scores.data() + g * length;
        float high = row[0], sum = 0;
        for (int64_t p = 1; p < length; p++) high = row[p] > high ? row[p] : high;
#pragma omp simd reduction(+ : sum)
        for (int64_t p = 0; p < length; p++) {
          row[p] = fastExp(row[p] - high);
          sum += row[p];
        }
        const float inverse = 1.0f / sum;
#pragma omp simd
        for (int64_t p = 0; p < length; p++) row[p] *= inverse;
      }
      std::fill(result, result + group * d, 0.0f);
      for (int64_t p = 0; p < length; p++) {
        const float* value = pv + (own[p / blockSize] * blockSize + p % blockSize) * stride + head * d;
        for (int64_t g = 0; g < group; g++) axpy(result + g * d, scores[g * length + p], value, d);
      }
    }
  });
  return out.to(qIn.scalar_type());
}

void kvAppend(const at::Tensor& kPool, const at::Tensor& vPool, const at::Tensor& kIn, const at::Tensor& vIn, const at::Tensor& slotsIn) {
  TORCH_CHECK(kPool.is_contiguous() && vPool.is_contiguous(), "the pools must be contiguous");
  const at::Tensor k = kIn.to(kPool.scalar_type()).contiguous(), v = vIn.to(vPool.scalar_type()).contiguous(), slots = asInt(slotsIn);
  const int64_t tokens = slots.numel(), places = kPool.size(0) * kPool.size(1), width = kPool.size(2) * kPool.size(3) * kPool.element_size();
  TORCH_CHECK(k.nbytes() == static_cast<size_t>(tokens * width) && v.nbytes() == k.nbytes(), "keys and values do not fit the pool");
  const int32_t* ps = slots.const_data_ptr<int32_t>();
  for (int64_t t = 0; t < tokens; t++) {
    TORCH_CHECK(ps[t] >= 0 && ps[t] < places, "slot ", ps[t], " is outside the pool of ", places);
    std::memcpy(static_cast<char*>(kPool.data_ptr()) + ps[t] * width, static_cast<const char*>(k.const_data_ptr()) + t * width, width);
    std::memcpy(static_cast<char*>(vPool.data_ptr()) + ps[t] * width, static_cast<const char*>(v.const_data_ptr()) + t * width, width);
  }
}

}  // namespace

TORCH_LIBRARY_IMPL(search_r1, CPU, library) {
  library.impl("attention", attention);
  library.impl("attention_grad", attentionGrad);
  library.impl("paged_attention", pagedAttention);
  library.impl("kv_append", kvAppend);
}

}  // namespace search_r1
