// Attention on the processor: packed sequences through ATen's flash attention, the blocked cache by a kernel of our own.
#include "rows.h"
#include "simd.h"

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
  const int64_t tokens = q.size(0), heads = q.size(1), d = q.size(2);
  const PagedView view{kPool.const_data_ptr<float>(), vPool.const_data_ptr<float>(), table.const_data_ptr<int32_t>(), seq.const_data_ptr<int32_t>(), pos.const_data_ptr<int32_t>(),
                       heads, kPool.size(2), d, kPool.size(0), kPool.size(1), table.size(0), table.size(1), tokens, static_cast<float>(scale)};
  const int64_t longest = checkPaged(view);
  const float* pq = q.const_data_ptr<float>();
  float* po = out.data_ptr<float>();
  at::parallel_for(0, tokens, grain(longest * heads * d), [&](int64_t begin, int64_t end) {
    std::vector<float> scores;
    for (int64_t t = begin; t < end; t++) attendRow(view, t, pq + t * heads * d, po + t * heads * d, scores);
  });
  return out.to(qIn.scalar_type());
}

void kvAppend(const at::Tensor& kPool, const at::Tensor& vPool, const at::Tensor& kIn, const at::Tensor& vIn, const at::Tensor& slotsIn) {
  TORCH_CHECK(kPool.is_contiguous() && vPool.is_contiguous(), "the pools must be contiguous");
  const at::Tensor k = kIn.to(kPool.scalar_type()).contiguous(), v = vIn.to(vPool.scalar_type()).contiguous(), slots = asInt(slotsIn);
  const int64_t tokens = slots.numel(), places = kPool.size(0) * kPool.size(1), width = kPool.size(2) * kPool.size(3) * kPool.element_size();
  TORCH_CHECK(k.nbytes() == static_cast<size_t>(tokens * width) && v.nbytes() == k.nbytes(), "keys and values do not fit the pool");
  const int32_t* ps = slots.const_data_ptr<int32_t>();
  checkSlots(ps, tokens, places);
  for (int64_t t = 0; t < tokens; t++) {
    std::memcpy(static_cast<char*>(kPool.data_ptr()) + ps[t] * width, static_cast<const char*>(k.const_data_ptr()) + t * width, width);
    std::memcpy(static_cast<char*>(vPool.data_ptr()) + ps[t] * width, static_cast<const char*>(v.const_data_ptr()) + t * width, width);
  }
}

}  // namespace

int64_t checkPaged(const PagedView& view) {
  int64_t longest = 0;
  for (int64_t t = 0; t < view.tokens; t++) {
    const int64_t seq = view.seq[t], pos = view.pos[t];
    TORCH_CHECK(seq >= 0 && seq < view.sequences && pos >= 0 && pos < view.maxBlocks * view.blockSize, "token ", t, " points outside the block table");
    longest = std::max<int64_t>(longest, pos + 1);
    for (int64_t b = 0; b <= pos / view.blockSize; b++) {
      const int32_t block = view.table[seq * view.maxBlocks + b];
      TORCH_CHECK(block >= 0 && block < view.blocks, "block ", block, " is outside the pool of ", view.blocks);
    }
  }
  return longest;
}

void checkSlots(const int32_t* slots, int64_t tokens, int64_t places) {
  for (int64_t t = 0; t < tokens; t++) TORCH_CHECK(slots[t] >= 0 && slots[t] < places, "slot ", slots[t], " is outside the pool of ", places);
}

/// Scores of a query with the keys of one block, whose rows are `stride` apart.
static void scoreBlock(float* into, const float* query, const float* keys, int64_t positions, int64_t stride, int64_t d, float scale) {
  int64_t p = 0;
  // The keys of a whole vector of positions: sums across lanes are then made for all of them together.
  for (; d % kWidth == 0 && p + kWidth <= positions; p += kWidth, keys += kWidth * stride) {
    Vector partial[kWidth] = {};
    for (int64_t i = 0; i < d; i += kWidth) {
      const Vector own = load(query + i);
#pragma GCC unroll 16
      for (int j = 0; j < kWidth; j++) partial[j] += own * load(keys + j * stride + i);
    }
    store(into + p, sums(partial) * scale);
  }
  for (; p < positions; p++, keys += stride) into[p] = dot(query, keys, d) * scale;
}

/// Adds the values of one block by their weights.
static void mixBlock(float* into, const float* weights, const float* values, int64_t positions, int64_t stride, int64_t d) {
  int64_t i = 0;
  for (; i + kWidth <= d; i += kWidth) {
    Vector mixed[4] = {load(into + i)};
    int64_t p = 0;
    for (; p + 4 <= positions; p += 4) {
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++) mixed[j] += weights[p + j] * load(values + (p + j) * stride + i);
    }
    for (; p < positions; p++) mixed[0] += weights[p] * load(values + p * stride + i);
    store(into + i, (mixed[0] + mixed[1]) + (mixed[2] + mixed[3]));
  }
  for (int64_t p = 0; i < d && p < positions; p++) axpy(into + i, weights[p], values + p * stride + i, d - i);
}

void attendRow(const PagedView& view, int64_t t, const float* query, float* result, std::vector<float>& scores) {
  const int64_t length = view.pos[t] + 1, heads = view.heads, d = view.d, group = heads / view.kv, stride = view.kv * d, size = view.blockSize;
  const int64_t blocks = (length + size - 1) / size, width = blocks * size;
  const int32_t* own = view.table + view.seq[t] * view.maxBlocks;
  if (scores.size() < static_cast<size_t>(heads * width)) scores.resize(static_cast<size_t>(heads * width));
  for (int64_t b = 0; b < blocks; b++) {
    const float* keys = view.k + own[b] * size * stride;
    // Beyond the last position lie slots of the same block, whose scores nobody looks at.
    for (int64_t h = 0; h < heads; h++) scoreBlock(scores.data() + h * width + b * size, query + h * d, keys + h / group * d, size, stride, d, view.scale);
  }
  for (int64_t h = 0; h < heads; h++) {
    float* row = scores.data() + h * width;
    float high = row[0], sum = 0;
#pragma omp simd reduction(max : high)
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
  std::fill(result, result + heads * d, 0.0f);
  for (int64_t b = 0; b < blocks; b++) {
    const float* values = view.v + own[b] * size * stride;
    const int64_t positions = std::min(size, length - b * size);
    for (int64_t h = 0; h < heads; h++) mixBlock(result + h * d, scores.data() + h * width + b * size, values + h / group * d, positions, stride, d);
  }
}

TORCH_LIBRARY_IMPL(search_r1, CPU, library) {
  library.impl("attention", attention);
  library.impl("attention_grad", attentionGrad);
  library.impl("paged_attention", pagedAttention);
  library.impl("kv_append", kvAppend);
}

}  // namespace search_r1
