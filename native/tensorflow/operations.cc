// Operations that TensorFlow lacks, as kernels for its processor device: float32, row-major, on its own threads.
// The file is an addon of Node's only so that it can be loaded; loading it registers the operations.
#include <dlfcn.h>
#include <node_api.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace search_r1 {
namespace {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::shape_inference::InferenceContext;

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
  int32_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits << 23) + 0x3f800000;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return p * power;
}

/// D is the length where the compiler should know it, or 0.
template <int64_t D>
inline float dot(const float* a, const float* b, int64_t n) {
  const int64_t length = D == 0 ? n : D;
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < length; i++) sum += a[i] * b[i];
  return sum;
}

/// y += a x
template <int64_t D>
inline void axpy(float* y, float a, const float* x, int64_t n) {
  const int64_t length = D == 0 ? n : D;
#pragma omp simd
  for (int64_t i = 0; i < length; i++) y[i] += a * x[i];
}

float* floats(const Tensor& tensor) { return static_cast<float*>(tensor.data()); }
const int32_t* ints(const Tensor& tensor) { return static_cast<const int32_t*>(tensor.data()); }

/// Runs `body(begin, end)` over units of about `cost` nanoseconds each on the threads that TensorFlow computes with.
template <typename Body>
void parallel(OpKernelContext* context, int64_t units, int64_t cost, Body body) {
  context->device()->tensorflow_cpu_worker_threads()->workers->ParallelFor(units, std::max<int64_t>(cost, 1), body);
}

/// Attention of tokens over the blocks of their sequences, see `Ops.pagedAttention`.
class PagedAttention : public OpKernel {
 public:
  explicit PagedAttention(OpKernelConstruction* context) : OpKernel(context) { OP_REQUIRES_OK(context, context->GetAttr("scale", &scale_)); }

  void Compute(OpKernelContext* context) override {
    const Tensor &q = context->input(0), &kPool = context->input(1), &vPool = context->input(2), &table = context->input(3);
    OP_REQUIRES(context, q.dims() == 3 && kPool.dims() == 4 && vPool.shape() == kPool.shape() && table.dims() == 2,
                absl::InvalidArgumentError("queries must be [T, H, D], pools [blocks, size, KV, D], the table [S, blocks]"));
    Shape s;
    s.tokens = q.dim_size(0), s.heads = q.dim_size(1), s.dim = q.dim_size(2);
    s.blockSize = kPool.dim_size(1), s.kv = kPool.dim_size(2), s.maxBlocks = table.dim_size(1), s.scale = scale_;
    OP_REQUIRES(context, kPool.dim_size(3) == s.dim && s.kv > 0 && s.heads % s.kv == 0, absl::InvalidArgumentError("queries do not fit the pool"));
    OP_REQUIRES(context, context->input(4).NumElements() == s.tokens && context->input(5).NumElements() == s.tokens,
                absl::InvalidArgumentError("every token needs a sequence and a position"));
    s.q = floats(q), s.k = floats(kPool), s.v = floats(vPool), s.table = ints(table), s.seq = ints(context->input(4)), s.pos = ints(context->input(5));
    int64_t longest = 1;
    for (int64_t t = 0; t < s.tokens; t++) {
      OP_REQUIRES(context, s.seq[t] >= 0 && s.seq[t] < table.dim_size(0) && s.pos[t] >= 0 && s.pos[t] < s.maxBlocks * s.blockSize,
                  absl::InvalidArgumentError("a token points outside the block table"));
      longest = std::max<int64_t>(longest, s.pos[t] + 1);
      for (int64_t b = 0; b <= s.pos[t] / s.blockSize; b++) {
        const int32_t block = s.table[s.seq[t] * s.maxBlocks + b];
        OP_REQUIRES(context, block >= 0 && block < kPool.dim_size(0), absl::InvalidArgumentError("a block is outside the pool"));
      }
    }
    Tensor* out = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, q.shape(), &out));
    s.out = floats(*out);
    // Whole tokens read whole rows of the pool; few tokens are cut into heads.
    const int64_t parts = s.tokens >= 8 ? 1 : s.kv;
    const int64_t cost = longest * s.heads * s.dim / parts / 4;
    parallel(context, s.tokens * parts, cost, [&](int64_t begin, int64_t end) {
      std::vector<float> scores(static_cast<size_t>(s.heads / parts * longest));
      for (int64_t task = begin; task < end; task++) {
        const int64_t first = task % parts * (s.kv / parts);
        attend(s, task / parts, first, first + s.kv / parts, scores.data());
      }
    });
  }

 private:
  struct Shape {
    int64_t tokens, heads, dim, kv, blockSize, maxBlocks;
    float scale;
    const float *q, *k, *v;
    const int32_t *table, *seq, *pos;
    float* out;
  };

  static void attend(const Shape& s, int64_t token, int64_t firstHead, int64_t lastHead, float* scores) {
    if (s.dim == 32) return attendOf<32>(s, token, firstHead, lastHead, scores);
    if (s.dim == 64) return attendOf<64>(s, token, firstHead, lastHead, scores);
    if (s.dim == 128) return attendOf<128>(s, token, firstHead, lastHead, scores);
    attendOf<0>(s, token, firstHead, lastHead, scores);
  }

  template <int64_t D>
  static void attendOf(const Shape& s, int64_t token, int64_t firstHead, int64_t lastHead, float* scores) {
    const int64_t length = s.pos[token] + 1, group = s.heads / s.kv, dim = D == 0 ? s.dim : D, width = s.kv * dim;
    const int64_t begin = firstHead * group, heads = (lastHead - firstHead) * group;
    const int32_t* own = s.table + s.seq[token] * s.maxBlocks;
    const float* query = s.q + (token * s.heads + begin) * dim;
    float* result = s.out + (token * s.heads + begin) * dim;
    const auto row = [&](const float* pool, int64_t p) { return pool + (own[p / s.blockSize] * s.blockSize + p % s.blockSize) * width + firstHead * dim; };
    for (int64_t p = 0; p < length; p++) {
      const float* key = row(s.k, p);
      for (int64_t h = 0; h < heads; h++) scores[h * length + p] = dot<D>(query + h * dim, key + h / group * dim, dim) * s.scale;
    }
    for (int64_t h = 0; h < heads; h++) {
      float* weights = scores + h * length;
      float high = weights[0], sum = 0;
      for (int64_t p = 1; p < length; p++) high = weights[p] > high ? weights[p] : high;
#pragma omp simd reduction(+ : sum)
      for (int64_t p = 0; p < length; p++) {
        weights[p] = fastExp(weights[p] - high);
        sum += weights[p];
      }
      const float inverse = 1.0f / sum;
#pragma omp simd
      for (int64_t p = 0; p < length; p++) weights[p] *= inverse;
    }
    std::fill(result, result + heads * dim, 0.0f);
    for (int64_t p = 0; p < length; p++) {
      const float* value = row(s.v, p);
      for (int64_t h = 0; h < heads; h++) axpy<D>(result + h * dim, scores[h * length + p], value + h / group * dim, dim);
    }
  }

  float scale_;
};

/// Writes rows into the buffers of both pools, which are the results, see `Ops.kvAppend`.
class KvAppend : public OpKernel {
 public:
  explicit KvAppend(OpKernelConstruction* context) : OpKernel(context) {}

  void Compute(OpKernelContext* context) override {
    const Tensor& slots = context->input(4);
    const int64_t tokens = slots.NumElements();
    for (int which = 0; which < 2; which++) {
      Tensor pool = context->input(which);
      const Tensor& rows = context->input(2 + which);
      const int64_t width = tokens == 0 ? 0 : rows.NumElements() / tokens;
      const int64_t places = width == 0 ? 0 : pool.NumElements() / width;
      float* into = floats(pool);
      for (int64_t t = 0; t < tokens; t++) {
        const int32_t slot = ints(slots)[t];
        OP_REQUIRES(context, slot >= 0 && slot < places, absl::InvalidArgumentError("a slot is outside the pool"));
        std::memcpy(into + slot * width, floats(rows) + t * width, width * sizeof(float));
      }
      context->set_output(which, pool);
    }
  }
};

/// Rows that one thread takes at a time where sums over rows follow: results must not depend on the number of threads.
constexpr int64_t rowsPerSum = 256;

int64_t lastSize(const Tensor& x) { return x.dims() == 0 ? 1 : x.dim_size(x.dims() - 1); }

bool allocate(OpKernelContext* context, int index, const tensorflow::TensorShape& shape, float** data) {
  Tensor* tensor = nullptr;
  const absl::Status status = context->allocate_output(index, shape, &tensor);
  if (!status.ok()) {
    context->CtxFailure(status);
    return false;
  }
  *data = floats(*tensor);
  return true;
}

float inverseRms(const float* x, int64_t dim, float eps) { return 1.0f / std::sqrt(dot<0>(x, x, dim) / dim + eps); }

/// x / sqrt(mean(x²) + eps) w over the last axis.
class RmsNorm : public OpKernel {
 public:
  explicit RmsNorm(OpKernelConstruction* context) : OpKernel(context) { OP_REQUIRES_OK(context, context->GetAttr("eps", &eps_)); }

  void Compute(OpKernelContext* context) override {
    const Tensor &x = context->input(0), &weight = context->input(1);
    const int64_t dim = lastSize(x), rows = dim == 0 ? 0 : x.NumElements() / dim;
    OP_REQUIRES(context, weight.NumElements() == dim, absl::InvalidArgumentError("the weight does not fit the rows"));
    float* out;
    if (!allocate(context, 0, x.shape(), &out)) return;
    const float *px = floats(x), *pw = floats(weight), eps = eps_;
    parallel(context, rows, dim, [=](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; r++) {
        const float *row = px + r * dim, inverse = inverseRms(row, dim, eps);
        float* y = out + r * dim;
#pragma omp simd
        for (int64_t i = 0; i < dim; i++) y[i] = row[i] * inverse * pw[i];
      }
    });
  }

 private:
  float eps_;
};

class RmsNormGrad : public OpKernel {
 public:
  explicit RmsNormGrad(OpKernelConstruction* context) : OpKernel(context) { OP_REQUIRES_OK(context, context->GetAttr("eps", &eps_)); }

  void Compute(OpKernelContext* context) override {
    const Tensor &x = context->input(0), &weight = context->input(1), &dy = context->input(2);
    const int64_t dim = lastSize(x), rows = dim == 0 ? 0 : x.NumElements() / dim;
    OP_REQUIRES(context, weight.NumElements() == dim && dy.NumElements() == x.NumElements(), absl::InvalidArgumentError("the gradient does not fit"));
    float *dx, *dWeight;
    if (!allocate(context, 0, x.shape(), &dx) || !allocate(context, 1, weight.shape(), &dWeight)) return;
    const float *px = floats(x), *pw = floats(weight), *pd = floats(dy), eps = eps_;
    const int64_t sums = (rows + rowsPerSum - 1) / rowsPerSum;
    std::vector<float> partial(static_cast<size_t>(sums * dim), 0.0f);
    float* all = partial.data();
    parallel(context, sums, 2 * dim * rowsPerSum, [=](int64_t begin, int64_t end) {
      for (int64_t r = begin * rowsPerSum; r < std::min(rows, end * rowsPerSum); r++) {
        const float *row = px + r * dim, *d = pd + r * dim, inverse = inverseRms(row, dim, eps);
        float *own = all + r / rowsPerSum * dim, *out = dx + r * dim;
        float along = 0;
#pragma omp simd reduction(+ : along)
        for (int64_t i = 0; i < dim; i++) along += d[i] * pw[i] * row[i];
        const float back = along * inverse * inverse * inverse / dim;
#pragma omp simd
        for (int64_t i = 0; i < dim; i++) {
          own[i] += d[i] * row[i] * inverse;
          out[i] = d[i] * pw[i] * inverse - row[i] * back;
        }
      }
    });
    std::fill(dWeight, dWeight + dim, 0.0f);
    for (int64_t i = 0; i < sums; i++) axpy<0>(dWeight, 1.0f, all + i * dim, dim);
  }

 private:
  float eps_;
};

/// Rotates the halves of each head by the angles of the token's position.
class Rope : public OpKernel {
 public:
  explicit Rope(OpKernelConstruction* context) : OpKernel(context) { OP_REQUIRES_OK(context, context->GetAttr("inverse", &inverse_)); }

  void Compute(OpKernelContext* context) override {
    const Tensor &x = context->input(0), &positions = context->input(1), &cos = context->input(2), &sin = context->input(3);
    OP_REQUIRES(context, x.dims() == 3 && cos.dims() == 2 && sin.shape() == cos.shape(), absl::InvalidArgumentError("x must be [T, H, D], angles [P, D / 2]"));
    const int64_t tokens = x.dim_size(0), heads = x.dim_size(1), dim = x.dim_size(2), half = cos.dim_size(1);
    OP_REQUIRES(context, 2 * half == dim && positions.NumElements() == tokens, absl::InvalidArgumentError("the angles do not fit the heads"));
    const int32_t* at = ints(positions);
    for (int64_t t = 0; t < tokens; t++) {
      OP_REQUIRES(context, at[t] >= 0 && at[t] < cos.dim_size(0), absl::InvalidArgumentError("a position is outside the table of angles"));
    }
    float* out;
    if (!allocate(context, 0, x.shape(), &out)) return;
    const float *px = floats(x), *pc = floats(cos), *ps = floats(sin), sign = inverse_ ? -1.0f : 1.0f;
    parallel(context, tokens, heads * dim, [=](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; t++) {
        const float *c = pc + at[t] * half, *s = ps + at[t] * half;
        for (int64_t h = 0; h < heads; h++) {
          const float *low = px + (t * heads + h) * dim, *high = low + half;
          float *y = out + (t * heads + h) * dim, *z = y + half;
#pragma omp simd
          for (int64_t i = 0; i < half; i++) {
            y[i] = low[i] * c[i] - sign * high[i] * s[i];
            z[i] = high[i] * c[i] + sign * low[i] * s[i];
          }
        }
      }
    });
  }

 private:
  bool inverse_;
};

inline float sigmoid(float x) { return 1.0f / (1.0f + fastExp(-x)); }

/// gate sigmoid(gate) up.
class SwiGlu : public OpKernel {
 public:
  explicit SwiGlu(OpKernelConstruction* context) : OpKernel(context) {}

  void Compute(OpKernelContext* context) override {
    const Tensor &gate = context->input(0), &up = context->input(1);
    OP_REQUIRES(context, gate.NumElements() == up.NumElements(), absl::InvalidArgumentError("gate and up must have one shape"));
    float* out;
    if (!allocate(context, 0, gate.shape(), &out)) return;
    const float *pg = floats(gate), *pu = floats(up);
    parallel(context, gate.NumElements(), 2, [=](int64_t begin, int64_t end) {
#pragma omp simd
      for (int64_t i = begin; i < end; i++) out[i] = pg[i] * sigmoid(pg[i]) * pu[i];
    });
  }
};

class SwiGluGrad : public OpKernel {
 public:
  explicit SwiGluGrad(OpKernelConstruction* context) : OpKernel(context) {}

  void Compute(OpKernelContext* context) override {
    const Tensor &gate = context->input(0), &up = context->input(1), &dy = context->input(2);
    OP_REQUIRES(context, gate.NumElements() == up.NumElements() && gate.NumElements() == dy.NumElements(),
                absl::InvalidArgumentError("gate, up and the gradient must have one shape"));
    float *dGate, *dUp;
    if (!allocate(context, 0, gate.shape(), &dGate) || !allocate(context, 1, gate.shape(), &dUp)) return;
    const float *pg = floats(gate), *pu = floats(up), *pd = floats(dy);
    parallel(context, gate.NumElements(), 3, [=](int64_t begin, int64_t end) {
#pragma omp simd
      for (int64_t i = begin; i < end; i++) {
        const float s = sigmoid(pg[i]), silu = pg[i] * s;
        dUp[i] = pd[i] * silu;
        dGate[i] = pd[i] * pu[i] * (s + s * (pg[i] - silu));
      }
    });
  }
};

/// One step of AdamW, see `Ops.adamW`. The coefficients are numbers that change with every step: gradient scale, β₁, β₂,
/// 1 / √(1 - β₂ᵗ), ε, learning rate / (1 - β₁ᵗ), 1 - learning rate · weight decay.
class AdamW : public OpKernel {
 public:
  explicit AdamW(OpKernelConstruction* context) : OpKernel(context) {}

  void Compute(OpKernelContext* context) override {
    const Tensor &param = context->input(0), &m = context->input(1), &v = context->input(2), &grad = context->input(3);
    const int64_t size = param.NumElements();
    OP_REQUIRES(context, m.NumElements() == size && v.NumElements() == size && grad.NumElements() == size && context->input(4).NumElements() == 7,
                absl::InvalidArgumentError("the optimizer's state does not fit the weight"));
    float *nextParam, *nextM, *nextV;
    if (!allocate(context, 0, param.shape(), &nextParam) || !allocate(context, 1, param.shape(), &nextM) || !allocate(context, 2, param.shape(), &nextV)) return;
    const float *pp = floats(param), *pm = floats(m), *pv = floats(v), *pg = floats(grad), *c = floats(context->input(4));
    const float scale = c[0], beta1 = c[1], beta2 = c[2], root = c[3], eps = c[4], rate = c[5], decay = c[6];
    parallel(context, size, 3, [=](int64_t begin, int64_t end) {
#pragma omp simd
      for (int64_t i = begin; i < end; i++) {
        const float g = pg[i] * scale;
        nextM[i] = beta1 * pm[i] + (1.0f - beta1) * g;
        nextV[i] = beta2 * pv[i] + (1.0f - beta2) * g * g;
        nextParam[i] = pp[i] * decay - rate * nextM[i] / (std::sqrt(nextV[i]) * root + eps);
      }
    });
  }
};

absl::Status likeFirst(InferenceContext* context) {
  for (int i = 0; i < context->num_outputs(); i++) context->set_output(i, context->input(i));
  return absl::OkStatus();
}

REGISTER_OP("SrPagedAttention")
    .Input("q: float")
    .Input("k_pool: float")
    .Input("v_pool: float")
    .Input("block_table: int32")
    .Input("token_seq: int32")
    .Input("token_pos: int32")
    .Attr("scale: float")
    .Output("out: float")
    .SetShapeFn(likeFirst);
REGISTER_KERNEL_BUILDER(Name("SrPagedAttention").Device(tensorflow::DEVICE_CPU), PagedAttention);

REGISTER_OP("SrKvAppend")
    .Input("k_pool: float")
    .Input("v_pool: float")
    .Input("k: float")
    .Input("v: float")
    .Input("slots: int32")
    .Output("k_result: float")
    .Output("v_result: float")
    .SetIsStateful()
    .SetShapeFn(likeFirst);
REGISTER_KERNEL_BUILDER(Name("SrKvAppend").Device(tensorflow::DEVICE_CPU), KvAppend);

REGISTER_OP("SrRmsNorm").Input("x: float").Input("weight: float").Attr("eps: float").Output("y: float").SetShapeFn(likeFirst);
REGISTER_KERNEL_BUILDER(Name("SrRmsNorm").Device(tensorflow::DEVICE_CPU), RmsNorm);

REGISTER_OP("SrRmsNormGrad")
    .Input("x: float")
    .Input("weight: float")
    .Input("dy: float")
    .Attr("eps: float")
    .Output("dx: float")
    .Output("d_weight: float")
    .SetShapeFn(likeFirst);
REGISTER_KERNEL_BUILDER(Name("SrRmsNormGrad").Device(tensorflow::DEVICE_CPU), RmsNormGrad);

REGISTER_OP("SrRope")
    .Input("x: float")
    .Input("positions: int32")
    .Input("cos: float")
    .Input("sin: float")
    .Attr("inverse: bool")
    .Output("y: float")
    .SetShapeFn(likeFirst);
REGISTER_KERNEL_BUILDER(Name("SrRope").Device(tensorflow::DEVICE_CPU), Rope);

REGISTER_OP("SrSwiGlu").Input("gate: float").Input("up: float").Output("y: float").SetShapeFn(likeFirst);
REGISTER_KERNEL_BUILDER(Name("SrSwiGlu").Device(tensorflow::DEVICE_CPU), SwiGlu);

REGISTER_OP("SrSwiGluGrad")
    .Input("gate: float")
    .Input("up: float")
    .Input("dy: float")
    .Output("d_gate: float")
    .Output("d_up: float")
    .SetShapeFn(likeFirst);
REGISTER_KERNEL_BUILDER(Name("SrSwiGluGrad").Device(tensorflow::DEVICE_CPU), SwiGluGrad);

REGISTER_OP("SrAdamW")
    .Input("param: float")
    .Input("m: float")
    .Input("v: float")
    .Input("grad: float")
    .Input("coefficients: float")
    .Output("next_param: float")
    .Output("next_m: float")
    .Output("next_v: float")
    .SetShapeFn(likeFirst);
REGISTER_KERNEL_BUILDER(Name("SrAdamW").Device(tensorflow::DEVICE_CPU), AdamW);

/// Node unloads an addon with the last thread that uses it, but TensorFlow keeps what was registered, and ends a process
/// that registers it again: so the addon stays.
void stay() {
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(&stay), &info) != 0) dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}

}  // namespace
}  // namespace search_r1

NAPI_MODULE_INIT() {
  (void)env;
  search_r1::stay();
  return exports;
}
