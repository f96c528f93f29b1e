// Our operators on NVIDIA cards: they launch the kernels of kernels.h, which NVRTC compiles for the card at their first use.
#ifdef SEARCH_R1_CUDA

#include "kernels.h"

#include <ATen/ATen.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>
#include <nvrtc.h>
#include <torch/library.h>

#include <cmath>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace search_r1 {
namespace {

void checkNvrtc(nvrtcResult result, nvrtcProgram program) {
  if (result == NVRTC_SUCCESS) return;
  std::string log;
  size_t size = 0;
  if (program != nullptr && nvrtcGetProgramLogSize(program, &size) == NVRTC_SUCCESS && size > 1) {
    log.resize(size);
    nvrtcGetProgramLog(program, log.data());
  }
  TORCH_CHECK(false, "NVRTC: ", nvrtcGetErrorString(result), " ", log);
}

/// Kernels compiled for one set of definitions and one kind of card.
class Modules {
 public:
  cudaKernel_t kernel(const std::string& definitions, const char* name) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto* card = at::cuda::getCurrentDeviceProperties();
    const std::string architecture = "sm_" + std::to_string(card->major) + std::to_string(card->minor);
    const std::string key = architecture + " " + definitions + " " + name;
    const auto known = kernels_.find(key);
    if (known != kernels_.end()) return known->second;
    auto& library = libraries_[architecture + " " + definitions];
    if (library == nullptr) library = compile(architecture, definitions);
    cudaKernel_t kernel = nullptr;
    C10_CUDA_CHECK(cudaLibraryGetKernel(&kernel, library, name));
    kernels_.emplace(key, kernel);
    return kernel;
  }

 private:
  static cudaLibrary_t compile(const std::string& architecture, const std::string& definitions) {
    std::vector<std::string> options = {"--gpu-architecture=" + architecture, "--std=c++17"};
    for (size_t begin = 0; begin < definitions.size();) {
      const size_t end = std::min(definitions.find(' ', begin), definitions.size());
      if (end > begin) options.push_back(definitions.substr(begin, end - begin));
      begin = end + 1;
    }
    std::vector<const char*> pointers;
    for (const auto& option : options) pointers.push_back(option.c_str());
    nvrtcProgram program = nullptr;
    checkNvrtc(nvrtcCreateProgram(&program, kKernelSource, "search_r1.cu", 0, nullptr, nullptr), nullptr);
    checkNvrtc(nvrtcCompileProgram(program, static_cast<int>(pointers.size()), pointers.data()), program);
    size_t size = 0;
    checkNvrtc(nvrtcGetCUBINSize(program, &size), program);
    std::string binary(size, '\0');
    checkNvrtc(nvrtcGetCUBIN(program, binary.data()), program);
    nvrtcDestroyProgram(&program);
    cudaLibrary_t library = nullptr;
    C10_CUDA_CHECK(cudaLibraryLoadData(&library, binary.data(), nullptr, nullptr, 0, nullptr, nullptr, 0));
    return library;
  }

  std::mutex mutex_;
  std::map<std::string, cudaLibrary_t> libraries_;
  std::map<std::string, cudaKernel_t> kernels_;
};

Modules& modules() {
  static Modules instance;
  return instance;
}

template <class... Arguments>
void launch(const std::string& definitions, const char* name, dim3 grid, dim3 block, Arguments... arguments) {
  if (grid.x == 0 || grid.y == 0) return;
  void* pointers[] = {static_cast<void*>(&arguments)...};
  const auto kernel = modules().kernel(definitions, name);
  C10_CUDA_CHECK(cudaLaunchKernel(reinterpret_cast<const void*>(kernel), grid, block, pointers, 0, at::cuda::getCurrentCUDAStream()));
}

bool isLow(const at::Tensor& x) {
  TORCH_CHECK(x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kFloat, "tensors must be float32 or bfloat16");
  return x.scalar_type() == at::kBFloat16;
}

std::string typeOf(const at::Tensor& x) { return isLow(x) ? "-DLOW" : ""; }

unsigned blocks(int64_t n, int64_t size) { return static_cast<unsigned>((n + size - 1) / size); }

unsigned threadsFor(int64_t width) { return width >= 4096 ? 512 : width >= 1024 ? 256 : width >= 256 ? 128 : 32; }

at::Tensor like(const at::Tensor& x, const at::Tensor& type) { return x.to(type.scalar_type()).contiguous(); }

at::Tensor asFloat(const at::Tensor& x) { return x.to(at::kFloat).contiguous(); }

at::Tensor asInt(const at::Tensor& x) { return x.to(at::kInt).contiguous(); }

at::Tensor rmsNorm(const at::Tensor& xIn, const at::Tensor& weightIn, double eps) {
  const at::Tensor x = xIn.contiguous(), weight = like(weightIn, xIn), y = at::empty_like(x);
  const int d = static_cast<int>(x.size(-1));
  launch(typeOf(x), "rms_norm", dim3(static_cast<unsigned>(x.numel() / d)), dim3(threadsFor(d)), x.const_data_ptr(), weight.const_data_ptr(), y.data_ptr(), d,
         static_cast<float>(eps));
  return y;
}

std::tuple<at::Tensor, at::Tensor> rmsNormGrad(const at::Tensor& xIn, const at::Tensor& weightIn, const at::Tensor& dyIn, double eps) {
  const at::Tensor x = xIn.contiguous(), weight = like(weightIn, xIn), dy = like(dyIn, xIn), dx = at::empty_like(x);
  const int d = static_cast<int>(x.size(-1)), rows = static_cast<int>(x.numel() / d);
  const at::Tensor inverses = at::empty({rows}, x.options().dtype(at::kFloat)), dw = at::zeros({d}, x.options().dtype(at::kFloat));
  launch(typeOf(x), "rms_norm_dx", dim3(static_cast<unsigned>(rows)), dim3(threadsFor(d)), x.const_data_ptr(), weight.const_data_ptr(), dy.const_data_ptr(), dx.data_ptr(),
         inverses.data_ptr(), d, static_cast<float>(eps));
  launch(typeOf(x), "rms_norm_dw", dim3(blocks(d, 32), std::min(64u, blocks(rows, 8))), dim3(32, 8), x.const_data_ptr(), dy.const_data_ptr(), inverses.const_data_ptr(),
         dw.data_ptr(), rows, d);
  return {dx, dw};
}

at::Tensor rope(const at::Tensor& xIn, const at::Tensor& positionsIn, const at::Tensor& cosIn, const at::Tensor& sinIn, bool inverse) {
  const at::Tensor x = xIn.contiguous(), positions = asInt(positionsIn), cos = asFloat(cosIn), sin = asFloat(sinIn), y = at::empty_like(x);
  const int heads = static_cast<int>(x.size(1)), half = static_cast<int>(x.size(2) / 2);
  const long long n = x.numel() / 2;
  launch(typeOf(x), "rope", dim3(blocks(n, 256)), dim3(256), x.const_data_ptr(), positions.const_data_ptr(), cos.const_data_ptr(), sin.const_data_ptr(), y.data_ptr(), heads, half,
         inverse ? -1.0f : 1.0f, n);
  return y;
}

at::Tensor swiglu(const at::Tensor& gateIn, const at::Tensor& upIn) {
  if (gateIn.numel() % 4 != 0) return at::mul(at::silu(gateIn), upIn);
  const at::Tensor gate = gateIn.contiguous(), up = like(upIn, gateIn), y = at::empty_like(gate);
  const long long n = gate.numel() / 4;
  launch(typeOf(gate), "swiglu", dim3(blocks(n, 256)), dim3(256), gate.const_data_ptr(), up.const_data_ptr(), y.data_ptr(), n);
  return y;
}

std::tuple<at::Tensor, at::Tensor> swigluGrad(const at::Tensor& gateIn, const at::Tensor& upIn, const at::Tensor& dyIn) {
  const at::Tensor gate = gateIn.contiguous(), up = like(upIn, gateIn), dy = like(dyIn, gateIn);
  if (gate.numel() % 4 != 0) return {at::silu_backward(at::mul(dy, up), gate), at::mul(dy, at::silu(gate))};
  const at::Tensor dGate = at::empty_like(gate), dUp = at::empty_like(gate);
  const long long n = gate.numel() / 4;
  launch(typeOf(gate), "swiglu_grad", dim3(blocks(n, 256)), dim3(256), gate.const_data_ptr(), up.const_data_ptr(), dy.const_data_ptr(), dGate.data_ptr(), dUp.data_ptr(), n);
  return {dGate, dUp};
}

at::Tensor embeddingGrad(const at::Tensor& ids, const at::Tensor& dy, int64_t vocabulary) {
  return at::embedding_dense_backward(dy.contiguous(), asInt(ids), vocabulary, -1, false);
}

void adamw(const at::Tensor& param, const std::optional<at::Tensor>& low, const at::Tensor& m, const at::Tensor& v, const at::Tensor& gradIn, double lr, double beta1, double beta2,
           double eps, double weightDecay, int64_t step, double gradScale) {
  TORCH_CHECK(param.is_contiguous() && m.is_contiguous() && v.is_contiguous() && param.scalar_type() == at::kFloat, "the optimizer's tensors must be contiguous float32");
  const at::Tensor grad = gradIn.contiguous();
  TORCH_CHECK(grad.numel() == param.numel() && m.numel() == param.numel() && v.numel() == param.numel(), "the optimizer's tensors differ in size");
  const bool copy = low.has_value() && low->defined();
  TORCH_CHECK(!copy || (low->is_contiguous() && isLow(*low)), "the copy must be contiguous bfloat16");
  const long long n = param.numel();
  const double first = 1 - std::pow(beta1, static_cast<double>(step)), second = 1 - std::pow(beta2, static_cast<double>(step));
  launch("", "adamw", dim3(blocks(n, 256)), dim3(256), param.data_ptr(), copy ? low->data_ptr() : nullptr, m.data_ptr(), v.data_ptr(), grad.const_data_ptr(), isLow(grad) ? 1 : 0, n,
         static_cast<float>(gradScale), static_cast<float>(beta1), static_cast<float>(beta2), static_cast<float>(1 - lr * weightDecay), static_cast<float>(lr / first),
         static_cast<float>(1 / std::sqrt(second)), static_cast<float>(eps));
}

at::Tensor sumSquares(const at::Tensor& x) {
  const at::Tensor norm = at::linalg_vector_norm(x, 2, std::nullopt, false, at::kFloat);
  return at::mul(norm, norm);
}

void kvAppend(const at::Tensor& kPool, const at::Tensor& vPool, const at::Tensor& kIn, const at::Tensor& vIn, const at::Tensor& slotsIn) {
  TORCH_CHECK(kPool.is_contiguous() && vPool.is_contiguous(), "the pools must be contiguous");
  const at::Tensor k = like(kIn, kPool), v = like(vIn, vPool), slots = asInt(slotsIn);
  const int width = static_cast<int>(kPool.size(2) * kPool.size(3));
  TORCH_CHECK(k.numel() == slots.numel() * width && v.numel() == k.numel(), "keys and values do not fit the pool");
  launch(typeOf(kPool), "kv_append", dim3(static_cast<unsigned>(slots.numel())), dim3(threadsFor(width)), kPool.data_ptr(), vPool.data_ptr(), k.const_data_ptr(), v.const_data_ptr(),
         slots.const_data_ptr(), width);
}

at::Tensor pagedAttention(const at::Tensor& qIn, const at::Tensor& kPool, const at::Tensor& vPool, const at::Tensor& tableIn, const at::Tensor& seqIn, const at::Tensor& posIn,
                          double scale) {
  TORCH_CHECK(kPool.is_contiguous() && vPool.is_contiguous(), "the pools must be contiguous");
  const at::Tensor q = like(qIn, kPool), table = asInt(tableIn), seq = asInt(seqIn), pos = asInt(posIn), out = at::empty_like(q);
  const int64_t tokens = q.size(0), heads = q.size(1), d = q.size(2);
  const int blockSize = static_cast<int>(kPool.size(1)), kv = static_cast<int>(kPool.size(2)), maxBlocks = static_cast<int>(table.size(1));
  TORCH_CHECK(d % 8 == 0 && d <= 256, "head sizes must be multiples of 8 up to 256");
  const int64_t group = heads / kv;
  const int splits = static_cast<int>((static_cast<int64_t>(maxBlocks) * blockSize + 255) / 256);
  const std::string definitions = typeOf(q) + " -DHEAD=" + std::to_string(d) + " -DGROUP=" + std::to_string(group);
  const auto floats = q.options().dtype(at::kFloat);
  const at::Tensor parts = splits > 1 ? at::empty({tokens, heads, splits, d}, floats) : at::empty({0}, floats);
  const at::Tensor stats = splits > 1 ? at::empty({tokens, heads, splits, 2}, floats) : at::empty({0}, floats);
  launch(definitions, "paged_attention", dim3(static_cast<unsigned>(tokens), static_cast<unsigned>(kv), static_cast<unsigned>(splits)), dim3(128), q.const_data_ptr(), kPool.const_data_ptr(),
         vPool.const_data_ptr(), table.const_data_ptr(), seq.const_data_ptr(), pos.const_data_ptr(), parts.data_ptr(), stats.data_ptr(), out.data_ptr(), kv, maxBlocks, blockSize,
         static_cast<float>(scale));
  if (splits > 1) {
    launch(definitions, "paged_combine", dim3(static_cast<unsigned>(tokens * heads)), dim3(d <= 64 ? 64 : 128), parts.const_data_ptr(), stats.const_data_ptr(), pos.const_data_ptr(),
           out.data_ptr(), static_cast<int>(heads), splits);
  }
  return out;
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> logProb(const at::Tensor& logitsIn, const at::Tensor& targetsIn, double inverseTemperature) {
  const at::Tensor logits = asFloat(logitsIn), targets = asInt(targetsIn);
  const int rows = static_cast<int>(logits.size(0)), n = static_cast<int>(logits.size(1));
  const at::Tensor result = at::empty({3, rows}, logits.options());
  launch("", "log_prob", dim3(static_cast<unsigned>(rows)), dim3(n >= 4096 ? 512 : 128), logits.const_data_ptr(), targets.const_data_ptr(), result.data_ptr(), n, rows,
         static_cast<float>(inverseTemperature));
  return {result.select(0, 0), result.select(0, 1), result.select(0, 2)};
}

at::Tensor logProbGrad(const at::Tensor& logitsIn, const at::Tensor& targetsIn, const at::Tensor& lse, const at::Tensor& entropy, const at::Tensor& dLogProb,
                       const at::Tensor& dEntropy, double inverseTemperature, at::ScalarType type) {
  const at::Tensor logits = asFloat(logitsIn), targets = asInt(targetsIn), l = asFloat(lse), h = asFloat(entropy), dl = asFloat(dLogProb), dh = asFloat(dEntropy);
  const int64_t rows = logits.size(0), n = logits.size(1);
  const at::Tensor result = at::empty({rows, n}, logits.options().dtype(type));
  launch(typeOf(result), "log_prob_grad", dim3(std::min(blocks(n, 256), 64u), static_cast<unsigned>(rows)), dim3(256), logits.const_data_ptr(), targets.const_data_ptr(),
         l.const_data_ptr(), h.const_data_ptr(), dl.const_data_ptr(), dh.const_data_ptr(), result.data_ptr(), static_cast<int>(n), static_cast<float>(inverseTemperature));
  return result;
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> sample(const at::Tensor& logitsIn, const at::Tensor& temperatureIn, const at::Tensor& topKIn, const at::Tensor& topPIn,
                                                      const at::Tensor& uniformIn) {
  const at::Tensor logits = asFloat(logitsIn), temperature = asFloat(temperatureIn), topK = asInt(topKIn), topP = asFloat(topPIn), uniform = asFloat(uniformIn);
  const int64_t rows = logits.size(0), n = logits.size(1);
  const at::Tensor ids = at::empty({rows}, logits.options().dtype(at::kInt)), logProbs = at::empty({rows}, logits.options()), model = at::empty({rows}, logits.options());
  launch("", "sample", dim3(static_cast<unsigned>(rows)), dim3(1024), logits.const_data_ptr(), temperature.const_data_ptr(), topK.const_data_ptr(), topP.const_data_ptr(),
         uniform.const_data_ptr(), ids.data_ptr(), logProbs.data_ptr(), model.data_ptr(), static_cast<int>(n));
  return {ids, logProbs, model};
}

}  // namespace

TORCH_LIBRARY_IMPL(search_r1, CUDA, library) {
  library.impl("rms_norm", rmsNorm);
  library.impl("rms_norm_grad", rmsNormGrad);
  library.impl("rope", rope);
  library.impl("swiglu", swiglu);
  library.impl("swiglu_grad", swigluGrad);
  library.impl("embedding_grad", embeddingGrad);
  library.impl("adamw_", adamw);
  library.impl("sum_squares", sumSquares);
  library.impl("kv_append", kvAppend);
  library.impl("paged_attention", pagedAttention);
  library.impl("log_prob", logProb);
  library.impl("log_prob_grad", logProbGrad);
  library.impl("sample", sample);
}

}  // namespace search_r1

#endif
