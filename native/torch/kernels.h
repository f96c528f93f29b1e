// Our kernels for NVIDIA cards, compiled when they are first used, by NVRTC, for the card that is there. LOW selects
// bfloat16 as the type of activations and caches; arithmetic is float32 everywhere.
#pragma once

namespace search_r1 {

inline constexpr const char* kKernelSource = R"CUDA(
#define INFINITY __int_as_float(0x7f800000)
typedef unsigned short bf16;
__device__ __forceinline__ float fromLow(bf16 x) { return __uint_as_float((unsigned)x << 16); }
__device__ __forceinline__ bf16 toLow(float x) { bf16 y; asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y) : "f"(x)); return y; }
#ifdef LOW
typedef bf16 T;
__device__ __forceinline__ float get(T x) { return fromLow(x); }
__device__ __forceinline__ T put(float x) { return toLow(x); }
#else
typedef float T;
__device__ __forceinline__ float get(T x) { return x; }
__device__ __forceinline__ T put(float x) { return x; }
#endif
struct alignas(4 * sizeof(T)) T4 { T x[4]; };
struct alignas(8 * sizeof(T) > 16 ? 16 : 8 * sizeof(T)) T8 { T x[8]; };

__device__ __forceinline__ float warpSum(float x) {
  for (int o = 16; o > 0; o >>= 1) x += __shfl_xor_sync(0xffffffff, x, o);
  return x;
}
__device__ __forceinline__ float warpMax(float x) {
  for (int o = 16; o > 0; o >>= 1) x = fmaxf(x, __shfl_xor_sync(0xffffffff, x, o));
  return x;
}
// Sums over a block of up to 1024 threads; every thread gets the result.
__device__ float blockSum(float x) {
  __shared__ float parts[33];
  x = warpSum(x);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
  __syncthreads();
  if (threadIdx.x < 32) {
    float y = threadIdx.x < blockDim.x / 32 ? parts[threadIdx.x] : 0.0f;
    y = warpSum(y);
    if (threadIdx.x == 0) parts[32] = y;
  }
  __syncthreads();
  const float result = parts[32];
  __syncthreads();
  return result;
}
__device__ float blockMax(float x) {
  __shared__ float parts[33];
  x = warpMax(x);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
  __syncthreads();
  if (threadIdx.x < 32) {
    float y = threadIdx.x < blockDim.x / 32 ? parts[threadIdx.x] : -INFINITY;
    y = warpMax(y);
    if (threadIdx.x == 0) parts[32] = y;
  }
  __syncthreads();
  const float result = parts[32];
  __syncthreads();
  return result;
}

extern "C" __global__ void rms_norm(const T* x, const T* w, T* y, int d, float eps) {
  const T* in = x + (size_t)blockIdx.x * d;
  T* out = y + (size_t)blockIdx.x * d;
  float squares = 0;
  for (int i = threadIdx.x; i < d; i += blockDim.x) { const float v = get(in[i]); squares += v * v; }
  const float inverse = rsqrtf(blockSum(squares) / d + eps);
  for (int i = threadIdx.x; i < d; i += blockDim.x) out[i] = put(get(in[i]) * inverse * get(w[i]));
}

extern "C" __global__ void rms_norm_dx(const T* x, const T* w, const T* dy, T* dx, float* inverses, int d, float eps) {
  const size_t base = (size_t)blockIdx.x * d;
  float squares = 0, projection = 0;
  for (int i = threadIdx.x; i < d; i += blockDim.x) {
    const float v = get(x[base + i]);
    squares += v * v;
    projection += get(dy[base + i]) * get(w[i]) * v;
  }
  squares = blockSum(squares);
  projection = blockSum(projection);
  const float inverse = rsqrtf(squares / d + eps), back = projection * inverse * inverse / d;
  if (threadIdx.x == 0) inverses[blockIdx.x] = inverse;
  for (int i = threadIdx.x; i < d; i += blockDim.x) dx[base + i] = put((get(dy[base + i]) * get(w[i]) - get(x[base + i]) * back) * inverse);
}

// Blocks of 32 x 8 threads over columns and slices of rows.
extern "C" __global__ void rms_norm_dw(const T* x, const T* dy, const float* inverses, float* dw, int rows, int d) {
  __shared__ float parts[8][32];
  const int column = blockIdx.x * 32 + threadIdx.x;
  float sum = 0;
  if (column < d) {
    for (int row = blockIdx.y * 8 + threadIdx.y; row < rows; row += gridDim.y * 8) {
      const size_t i = (size_t)row * d + column;
      sum += get(x[i]) * get(dy[i]) * inverses[row];
    }
  }
  parts[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y == 0 && column < d) {
    for (int i = 1; i < 8; i++) sum += parts[i][threadIdx.x];
    atomicAdd(dw + column, sum);
  }
}

extern "C" __global__ void rope(const T* x, const int* positions, const float* cosines, const float* sines, T* y, int heads, int half, float sign, long long n) {
  const long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (index >= n) return;
  const int i = index % half;
  const long long row = index / half;
  const long long angle = (long long)positions[row / heads] * half + i;
  const float c = cosines[angle], s = sign * sines[angle];
  const long long at = row * 2 * half + i;
  const float a = get(x[at]), b = get(x[at + half]);
  y[at] = put(a * c - b * s);
  y[at + half] = put(b * c + a * s);
}

extern "C" __global__ void swiglu(const T4* gate, const T4* up, T4* y, long long n) {
  const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const T4 g = gate[i], u = up[i];
  T4 out;
#pragma unroll
  for (int j = 0; j < 4; j++) { const float v = get(g.x[j]); out.x[j] = put(v / (1.0f + __expf(-v)) * get(u.x[j])); }
  y[i] = out;
}

extern "C" __global__ void swiglu_grad(const T4* gate, const T4* up, const T4* dy, T4* dGate, T4* dUp, long long n) {
  const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const T4 g = gate[i], u = up[i], d = dy[i];
  T4 outGate, outUp;
#pragma unroll
  for (int j = 0; j < 4; j++) {
    const float v = get(g.x[j]), s = 1.0f / (1.0f + __expf(-v)), silu = v * s, e = get(d.x[j]);
    outGate.x[j] = put(e * get(u.x[j]) * (s + (v - silu) * s));
    outUp.x[j] = put(e * silu);
  }
  dGate[i] = outGate;
  dUp[i] = outUp;
}

extern "C" __global__ void kv_append(T* kPool, T* vPool, const T* k, const T* v, const int* slots, int width) {
  const size_t from = (size_t)blockIdx.x * width, to = (size_t)slots[blockIdx.x] * width;
  for (int i = threadIdx.x; i < width; i += blockDim.x) { kPool[to + i] = k[from + i]; vPool[to + i] = v[from + i]; }
}

extern "C" __global__ void log_prob(const float* logits, const int* targets, float* result, int n, int rows, float scale) {
  const float* x = logits + (size_t)blockIdx.x * n;
  float high = -INFINITY, sum = 0, weighted = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x) {
    const float v = x[i] * scale;
    if (v > high) {
      const float factor = __expf(high - v), shift = high - v;
      weighted = high == -INFINITY ? 0.0f : factor * (weighted + shift * sum);
      sum = high == -INFINITY ? 0.0f : sum * factor;
      high = v;
    }
    const float e = __expf(v - high);
    sum += e;
    weighted += e * (v - high);
    if (v != v) sum = v;
  }
  const float top = blockMax(high);
  const float factor = high == -INFINITY ? 0.0f : __expf(high - top), shift = high == -INFINITY ? 0.0f : high - top;
  const float total = blockSum(sum * factor);
  const float mean = blockSum(factor * (weighted + shift * sum)) / total;
  if (threadIdx.x == 0) {
    const float logSum = logf(total);
    result[blockIdx.x] = x[targets[blockIdx.x]] * scale - top - logSum;
    result[rows + blockIdx.x] = logSum - mean;
    result[2 * rows + blockIdx.x] = top + logSum;
  }
}

extern "C" __global__ void log_prob_grad(const float* logits, const int* targets, const float* lse, const float* entropy, const float* dLogProb, const float* dEntropy, T* out, int n, float scale) {
  const int row = blockIdx.y;
  const size_t base = (size_t)row * n;
  const float logSum = lse[row], h = entropy[row], d = dLogProb[row], e = dEntropy[row];
  const int target = targets[row];
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    const float own = logits[base + i] * scale - logSum;
    out[base + i] = put(((i == target ? d : 0.0f) - __expf(own) * (d + e * (own + h))) * scale);
  }
}

extern "C" __global__ void adamw(float* p, bf16* low, float* m, float* v, const void* grad, int gradIsLow, long long n, float gradScale, float b1, float b2, float decay, float rate, float correction, float eps) {
  const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const float g = (gradIsLow ? fromLow(((const bf16*)grad)[i]) : ((const float*)grad)[i]) * gradScale;
  const float first = b1 * m[i] + (1.0f - b1) * g, second = b2 * v[i] + (1.0f - b2) * g * g;
  m[i] = first;
  v[i] = second;
  const float next = p[i] * decay - rate * first / (sqrtf(second) * correction + eps);
  p[i] = next;
  if (low) low[i] = toLow(next);
}

// One block a row. Weights are e^((x - max) / temperature); the draw is the first id whose cumulated weight, in the
// order of the vocabulary, exceeds uniform times the sum.
extern "C" __global__ void sample(const float* logits, const float* temperatures, const int* topKs, const float* topPs, const float* uniforms, int* ids, float* logProbs, float* modelLogProbs, int n) {
  const int row = blockIdx.x, lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  const float* x = logits + (size_t)row * n;
  const float temperature = temperatures[row];
  const bool greedy = temperature == 0.0f;
  const float scale = greedy ? 1.0f : 1.0f / temperature;
  __shared__ float segments[1024], tops[1024], models[1024];
  __shared__ int chosen;
  __shared__ float total, found;
  // Each warp takes segments of the vocabulary; a segment's sums are relative to its own largest logit.
  const int width = (n + 1023) / 1024;
  float high = -INFINITY;
  for (int segment = warp; segment < 1024; segment += warps) {
    const int begin = segment * width, end = min(n, begin + width);
    float top = -INFINITY;
    bool broken = false;
    for (int i = begin + lane; i < end; i += 32) { top = fmaxf(top, x[i]); broken |= x[i] != x[i]; }
    top = warpMax(top);
    float model = 0, own = 0;
    for (int i = begin + lane; i < end; i += 32) {
      const float v = x[i] - top;
      model += __expf(v);
      own += __expf(v * scale);
    }
    model = warpSum(model);
    own = warpSum(own);
    if (__any_sync(0xffffffff, broken)) model = own = __int_as_float(0x7fc00000);
    if (lane == 0) { tops[segment] = top; models[segment] = model; segments[segment] = own; }
    high = fmaxf(high, top);
  }
  high = blockMax(high);
  float modelSum = 0, sum = 0;
  for (int s = threadIdx.x; s < 1024; s += blockDim.x) {
    const float shift = tops[s] == -INFINITY ? -INFINITY : tops[s] - high;
    const float own = shift == -INFINITY ? 0.0f : segments[s] * __expf(shift * scale);
    if (shift != -INFINITY) modelSum += models[s] * __expf(shift);
    segments[s] = own;
    sum += own;
  }
  modelSum = blockSum(modelSum);
  sum = blockSum(sum);
  if (threadIdx.x == 0) chosen = n;
  __syncthreads();
  if (greedy) {
    for (int i = threadIdx.x; i < n; i += blockDim.x) if (x[i] == high) atomicMin(&chosen, i);
    __syncthreads();
    if (threadIdx.x == 0) {
      const int id = chosen < n ? chosen : 0;
      ids[row] = id;
      logProbs[row] = 0;
      modelLogProbs[row] = x[id] - high - logf(modelSum);
    }
    return;
  }
  // The smallest weight that stays: bisection over the bits of positive floats, which are ordered like the floats.
  const int topK = topKs[row];
  const float topP = topPs[row];
  float bound = 0;
  if (topK > 0 && topK < n) {
    unsigned low = 0, up = 0x3f800001u;
    while (up - low > 1) {
      const unsigned middle = low + (up - low) / 2;
      const float candidate = __uint_as_float(middle);
      float count = 0;
      for (int i = threadIdx.x; i < n; i += blockDim.x) count += expf((x[i] - high) * scale) >= candidate ? 1.0f : 0.0f;
      if (blockSum(count) >= topK) low = middle; else up = middle;
    }
    bound = __uint_as_float(low);
  }
  if (topP < 1.0f) {
    float likely = sum;
    if (bound > 0) {
      likely = 0;
      for (int i = threadIdx.x; i < n; i += blockDim.x) { const float w = expf((x[i] - high) * scale); likely += w >= bound ? w : 0.0f; }
      likely = blockSum(likely);
    }
    const float mass = topP * likely;
    unsigned low = 0, up = 0x3f800000u;
    while (up > low) {
      const unsigned middle = low + (up - low) / 2;
      const float candidate = __uint_as_float(middle);
      float above = 0;
      for (int i = threadIdx.x; i < n; i += blockDim.x) { const float w = expf((x[i] - high) * scale); above += w > candidate ? w : 0.0f; }
      if (blockSum(above) < mass) up = middle; else low = middle + 1;
    }
    bound = fmaxf(bound, __uint_as_float(low));
    // The largest weight always stays, whatever rounding says.
    bound = fminf(bound, 1.0f);
  }
  if (bound > 0) {
    for (int segment = warp; segment < 1024; segment += warps) {
      float part = 0;
      for (int i = segment * width + lane; i < min(n, (segment + 1) * width); i += 32) {
        const float w = expf((x[i] - high) * scale);
        part += w >= bound ? w : 0.0f;
      }
      part = warpSum(part);
      if (lane == 0) segments[segment] = part;
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) {
    double all = 0;
    for (int s = 0; s < 1024; s++) all += segments[s];
    const double limit = (double)uniforms[row] * all;
    double before = 0;
    int pick = 0;
    double pickBefore = 0;
    for (int s = 0; s < 1024; s++) {
      if (segments[s] <= 0.0f) continue;
      pick = s;
      pickBefore = before;
      before += segments[s];
      if (before > limit) break;
    }
    total = (float)all;
    chosen = pick;
    found = (float)(limit - pickBefore);
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    const int begin = chosen * width, end = min(n, begin + width);
    float cumulated = 0, own = 1;
    int id = begin;
    for (int i = begin; i < end; i++) {
      const float w = expf((x[i] - high) * scale);
      if (w < bound || w <= 0.0f) continue;
      id = i;
      own = w;
      cumulated += w;
      if (cumulated > found) break;
    }
    ids[row] = id;
    logProbs[row] = logf(own / total);
    modelLogProbs[row] = x[id] - high - logf(modelSum);
  }
}

#ifdef HEAD
// One block for one token, one key head and SPLIT positions. HEAD is the head size, GROUP the queries a key head.
// LANES threads share one position, 8 elements each; LANES is a power of two, so that some may have nothing to do.
#define LANES (HEAD <= 8 ? 1 : HEAD <= 16 ? 2 : HEAD <= 32 ? 4 : HEAD <= 64 ? 8 : HEAD <= 128 ? 16 : 32)
#define SPLIT 256
#define THREADS 128
#define SLOTS (THREADS / LANES)
#define AHEAD 4
extern "C" __global__ void __launch_bounds__(THREADS) paged_attention(const T* q, const T* kPool, const T* vPool, const int* table, const int* tokenSeq, const int* tokenPos, float* parts, float* stats, T* out, int kv, int maxBlocks, int blockSize, float scale) {
  __shared__ float scores[GROUP][SPLIT];
  __shared__ size_t places[SPLIT];
  __shared__ float query[GROUP][HEAD];
  __shared__ float reduced[THREADS / 32][HEAD];
  const int t = blockIdx.x, head = blockIdx.y, split = blockIdx.z, splits = gridDim.z, heads = kv * GROUP;
  const int length = tokenPos[t] + 1, begin = split * SPLIT, end = min(length, begin + SPLIT);
  if (begin >= length) return;
  const int* own = table + (size_t)tokenSeq[t] * maxBlocks;
  const size_t firstHead = (size_t)t * heads + head * GROUP;
  for (int i = threadIdx.x; i < GROUP * HEAD; i += THREADS) query[i / HEAD][i % HEAD] = get(q[firstHead * HEAD + i]) * scale;
  for (int i = threadIdx.x; i < end - begin; i += THREADS) {
    const int p = begin + i;
    places[i] = (((size_t)own[p / blockSize] * blockSize + p % blockSize) * kv + head) * HEAD;
  }
  __syncthreads();
  const int slot = threadIdx.x / LANES, part = threadIdx.x % LANES, lane = threadIdx.x % 32;
  const bool active = part * 8 < HEAD;
  for (int first = 0; first < end - begin; first += SLOTS * AHEAD) {
    T8 keys[AHEAD];
#pragma unroll
    for (int a = 0; a < AHEAD; a++) {
      const int p = first + a * SLOTS + slot;
      if (p < end - begin && active) keys[a] = *(const T8*)(kPool + places[p] + part * 8);
      else
#pragma unroll
        for (int j = 0; j < 8; j++) keys[a].x[j] = 0;
    }
#pragma unroll
    for (int a = 0; a < AHEAD; a++) {
      const int p = first + a * SLOTS + slot;
      float dots[GROUP];
#pragma unroll
      for (int g = 0; g < GROUP; g++) dots[g] = 0;
      if (active) {
#pragma unroll
        for (int j = 0; j < 8; j++) {
          const float value = get(keys[a].x[j]);
#pragma unroll
          for (int g = 0; g < GROUP; g++) dots[g] += value * query[g][part * 8 + j];
        }
      }
#pragma unroll
      for (int g = 0; g < GROUP; g++) {
#pragma unroll
        for (int o = LANES / 2; o > 0; o >>= 1) dots[g] += __shfl_xor_sync(0xffffffff, dots[g], o);
        if (part == 0 && p < end - begin) scores[g][p] = dots[g];
      }
    }
  }
  __syncthreads();
  const int count = end - begin;
  __shared__ float highs[GROUP], sums[GROUP];
  for (int g = threadIdx.x / 32; g < GROUP; g += THREADS / 32) {
    float high = -INFINITY;
    for (int i = lane; i < count; i += 32) high = fmaxf(high, scores[g][i]);
    high = warpMax(high);
    float sum = 0;
    for (int i = lane; i < count; i += 32) { const float e = __expf(scores[g][i] - high); scores[g][i] = e; sum += e; }
    sum = warpSum(sum);
    if (lane == 0) { highs[g] = high; sums[g] = sum; }
  }
  __syncthreads();
  float mixed[GROUP][8];
#pragma unroll
  for (int g = 0; g < GROUP; g++)
#pragma unroll
    for (int j = 0; j < 8; j++) mixed[g][j] = 0;
  for (int first = 0; first < count && active; first += SLOTS * AHEAD) {
    T8 values[AHEAD];
#pragma unroll
    for (int a = 0; a < AHEAD; a++) {
      const int p = first + a * SLOTS + slot;
      if (p < count) values[a] = *(const T8*)(vPool + places[p] + part * 8);
    }
#pragma unroll
    for (int a = 0; a < AHEAD; a++) {
      const int p = first + a * SLOTS + slot;
      if (p < count) {
#pragma unroll
        for (int g = 0; g < GROUP; g++) {
          const float weight = scores[g][p];
#pragma unroll
          for (int j = 0; j < 8; j++) mixed[g][j] += weight * get(values[a].x[j]);
        }
      }
    }
  }
#pragma unroll
  for (int g = 0; g < GROUP; g++) {
#pragma unroll
    for (int j = 0; j < 8; j++) {
#pragma unroll
      for (int o = LANES; o < 32; o <<= 1) mixed[g][j] += __shfl_xor_sync(0xffffffff, mixed[g][j], o);
      if (lane < LANES && lane * 8 < HEAD) reduced[threadIdx.x / 32][lane * 8 + j] = mixed[g][j];
    }
    __syncthreads();
    for (int i = threadIdx.x; i < HEAD; i += THREADS) {
      float sum = 0;
#pragma unroll
      for (int w = 0; w < THREADS / 32; w++) sum += reduced[w][i];
      if (splits == 1) out[(firstHead + g) * HEAD + i] = put(sum / sums[g]);
      else parts[((firstHead + g) * splits + split) * HEAD + i] = sum;
    }
    if (splits > 1 && threadIdx.x == 0) {
      stats[((firstHead + g) * splits + split) * 2] = highs[g];
      stats[((firstHead + g) * splits + split) * 2 + 1] = sums[g];
    }
    __syncthreads();
  }
}

extern "C" __global__ void paged_combine(const float* parts, const float* stats, const int* tokenPos, T* out, int heads, int splits) {
  const size_t row = blockIdx.x;
  const int used = (tokenPos[row / heads] + SPLIT) / SPLIT;
  float high = -INFINITY;
  for (int s = 0; s < used; s++) high = fmaxf(high, stats[(row * splits + s) * 2]);
  float sum = 0;
  for (int s = 0; s < used; s++) sum += stats[(row * splits + s) * 2 + 1] * __expf(stats[(row * splits + s) * 2] - high);
  for (int i = threadIdx.x; i < HEAD; i += blockDim.x) {
    float mixed = 0;
    for (int s = 0; s < used; s++) mixed += parts[(row * splits + s) * HEAD + i] * __expf(stats[(row * splits + s) * 2] - high);
    out[row * HEAD + i] = put(mixed / sum);
  }
}
#endif
)CUDA";

}  // namespace search_r1
