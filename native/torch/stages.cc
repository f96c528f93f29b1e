// How recorded calls become the stages of a program.
#include "program.h"
#include "rows.h"

#include <ATen/core/LegacyTypeDispatch.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_set>

namespace search_r1 {

/// Weights of more elements are read once, by all threads together, and not once by every thread.
static constexpr int64_t kOwnWeights = int64_t{1} << 19;

/// Makes stages of recorded calls.
class Builder {
 public:
  Builder(Program& program, Packs& packs, const std::vector<OperatorCall>& calls, const std::vector<const void*>& shared) : program_(program), packs_(packs), calls_(calls) {
    for (const void* storage : shared) pinned_.insert(storage);
    for (const at::Tensor& tensor : program.inputs_) pinned_.insert(storageOf(tensor));
    for (const at::Tensor& tensor : program.outputs_) pinned_.insert(storageOf(tensor));
  }

  void build() {
    findLifetimes();
    shareMemory();
    for (size_t i = 0; i < calls_.size(); i++) {
      if (skipped_.count(i) > 0) continue;
      if (!known(i)) general(calls_[i]);
    }
  }

 private:
  struct Lifetime {
    at::Tensor tensor;
    size_t first, last;
  };

  static void tensorsOf(const torch::jit::Stack& stack, std::vector<at::Tensor>& found) {
    for (const auto& value : stack) {
      if (value.isTensor() && value.toTensor().defined()) found.push_back(value.toTensor());
      if (value.isTensorList()) {
        for (const auto& tensor : value.toTensorVector()) found.push_back(tensor);
      }
    }
  }

  static std::vector<at::Tensor> tensorsOf(const torch::jit::Stack& stack) {
    std::vector<at::Tensor> found;
    tensorsOf(stack, found);
    return found;
  }

  void findLifetimes() {
    std::map<const void*, size_t> uses;
    for (const OperatorCall& call : calls_) {
      for (const at::Tensor& tensor : tensorsOf(call.arguments)) uses[storageOf(tensor)]++;
    }
    for (size_t i = 0; i < calls_.size(); i++) {
      const OperatorCall& call = calls_[i];
      const auto arguments = tensorsOf(call.arguments), results = tensorsOf(call.results);
      const auto given = [&](const at::Tensor& tensor) {
        return std::any_of(arguments.begin(), arguments.end(), [&](const at::Tensor& argument) { return storageOf(argument) == storageOf(tensor); });
      };
      // A product that only goes into the sum behind it is computed together with it.
      size_t time = i;
      if (i > 0 && call.op->name == "aten::add.Tensor" && calls_[i - 1].op->name == "aten::linear" && skipped_.count(i - 1) == 0) {
        const at::Tensor product = calls_[i - 1].results[0].toTensor();
        if (uses[storageOf(product)] == 1 && pinned_.count(storageOf(product)) == 0 && fusable(i - 1, i)) {
          time = i - 1;
          sums_[i - 1] = i;
          skipped_.insert(i);
        }
      }
      for (const at::Tensor& tensor : arguments) {
        const auto found = made_.find(storageOf(tensor));
        if (found != made_.end()) found->second.last = i;
      }
      // Constants, and other views of what is there, need no computation again.
      const bool views = !results.empty() && std::all_of(results.begin(), results.end(), given);
      if (arguments.empty() || (views && call.op->writes.empty())) {
        skipped_.insert(i);
        continue;
      }
      for (const at::Tensor& tensor : results) {
        if (!given(tensor)) made_.emplace(storageOf(tensor), Lifetime{tensor, time, i});
      }
    }
  }

  /// Lets tensors of one size that do not live at the same time use the same memory.
  void shareMemory() {
    std::map<size_t, std::vector<at::Tensor>> free;
    std::map<const void*, at::Tensor> blocks;
    for (size_t time = 0; time < calls_.size(); time++) {
      for (auto& [storage, life] : made_) {
        if (life.first != time || pinned_.count(storage) > 0) continue;
        const size_t bytes = life.tensor.storage().nbytes();
        std::vector<at::Tensor>& same = free[bytes];
        if (same.empty()) {
          program_.kept_.push_back(at::empty({static_cast<int64_t>(bytes)}, at::kByte));
          same.push_back(program_.kept_.back());
        }
        blocks[storage] = same.back();
        same.pop_back();
        life.tensor.storage().unsafeGetStorageImpl()->set_data_ptr_noswap(at::DataPtr(blocks[storage].data_ptr(), at::kCPU));
      }
      for (const auto& [storage, life] : made_) {
        const auto block = blocks.find(storage);
        if (life.last == time && block != blocks.end()) free[life.tensor.storage().nbytes()].push_back(block->second);
      }
    }
  }

  bool isMade(const at::Tensor& tensor) const { return made_.count(storageOf(tensor)) > 0; }

  /// Whether a tensor is there before the program runs, as plain float32.
  bool given(const at::Tensor& tensor) const { return tensor.scalar_type() == at::kFloat && tensor.is_contiguous() && !isMade(tensor); }

  bool index(const at::Tensor& tensor) const { return tensor.scalar_type() == at::kInt && tensor.is_contiguous() && !isMade(tensor); }

  /// Whether the rows of the batch lie in a tensor one behind the other, and nothing else in its memory.
  bool byRow(const at::Tensor& tensor, at::ScalarType type = at::kFloat) const {
    return tensor.scalar_type() == type && tensor.is_contiguous() && tensor.storage_offset() == 0 && tensor.numel() % program_.rows_ == 0 && tensor.numel() > 0 &&
           static_cast<size_t>(tensor.numel()) * tensor.element_size() == tensor.storage().nbytes();
  }

  int64_t width(const at::Tensor& tensor) const { return tensor.numel() / program_.rows_; }

  static const at::Tensor& tensorAt(const torch::jit::Stack& stack, size_t i) { return stack[i].toTensor(); }

  bool isProduct(const OperatorCall& call) const {
    const at::Tensor &x = tensorAt(call.arguments, 0), &w = tensorAt(call.arguments, 1), &y = tensorAt(call.results, 0);
    return call.arguments[2].isNone() && x.dim() == 2 && x.size(0) == program_.rows_ && byRow(x) && w.dim() == 2 && given(w) && byRow(y);
  }

  bool fusable(size_t product, size_t sum) const {
    const OperatorCall& add = calls_[sum];
    if (!isProduct(calls_[product]) || add.arguments[0].isNone() || !add.arguments[2].toScalar().equal(1)) return false;
    const at::Tensor &made = tensorAt(calls_[product].results, 0), &a = tensorAt(add.arguments, 0), &b = tensorAt(add.arguments, 1), &y = tensorAt(add.results, 0);
    const at::Tensor& other = storageOf(a) == storageOf(made) ? b : a;
    return storageOf(other) != storageOf(made) && byRow(y) && y.sizes() == made.sizes() &&
           ((other.sizes() == made.sizes() && byRow(other)) || (other.dim() == 1 && other.size(0) == made.size(1) && given(other)));
  }

  void check(const std::string& name, std::vector<const void*> key, std::function<void()> body) {
    if (checked_.insert({name, std::move(key)}).second) program_.checks_.emplace_back(name, std::move(body));
  }

  Stage& stage(const OperatorCall& call) {
    program_.stages_.push_back({});
    program_.stages_.back().name = call.op->name;
    return program_.stages_.back();
  }

  void general(const OperatorCall& call) {
    TORCH_CHECK(call.op->writes.empty() && !call.results.empty(), call.op->name, " changes what it is given");
    TORCH_CHECK(!call.op->handle.hasTag(at::Tag::nondeterministic_seeded), call.op->name, " is random");
    for (const auto& result : call.results) TORCH_CHECK(result.isTensor() || result.isTensorList(), call.op->name, " gives no tensor");
    stage(call).alone = [&handle = call.op->handle, arguments = call.arguments, results = tensorsOf(call.results)] {
      torch::jit::Stack stack = arguments;
      const at::AutoDispatchBelowADInplaceOrView below;
      handle.callBoxed(stack);
      const auto made = tensorsOf(stack);
      for (size_t i = 0; i < made.size(); i++) results[i].copy_(made[i]);
    };
  }

  bool known(size_t i) {
    static const std::map<std::string, bool (Builder::*)(size_t)> builders = {
        {"aten::embedding", &Builder::embedding}, {"aten::linear", &Builder::product},
        {"search_r1::rms_norm", &Builder::norm},  {"search_r1::rope", &Builder::rope},
        {"search_r1::swiglu", &Builder::swiglu},  {"search_r1::kv_append", &Builder::append},
        {"search_r1::sample", &Builder::sample},  {"search_r1::paged_attention", &Builder::attention}};
    const auto builder = builders.find(calls_[i].op->name);
    return builder != builders.end() && (this->*builder->second)(i);
  }

  bool embedding(size_t i) {
    const OperatorCall& call = calls_[i];
    const at::Tensor &table = tensorAt(call.arguments, 0), &ids = tensorAt(call.arguments, 1), &y = tensorAt(call.results, 0);
    if (!given(table) || !index(ids) || ids.numel() != program_.rows_ || !byRow(y)) return false;
    const float* from = table.const_data_ptr<float>();
    const int32_t* pi = ids.const_data_ptr<int32_t>();
    float* py = y.data_ptr<float>();
    const int64_t d = width(y), known = table.size(0);
    check(call.op->name, {pi, from}, [=, rows = program_.rows_] {
      for (int64_t r = 0; r < rows; r++) TORCH_CHECK(pi[r] >= 0 && pi[r] < known, "id ", pi[r], " is outside the vocabulary of ", known);
    });
    stage(call).rows = [=](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; r++) std::copy(from + pi[r] * d, from + (pi[r] + 1) * d, py + r * d);
    };
    return true;
  }

  bool product(size_t i) {
    const OperatorCall& call = calls_[i];
    if (!isProduct(call)) return false;
    const at::Tensor &x = tensorAt(call.arguments, 0), &w = tensorAt(call.arguments, 1);
    const auto pack = packs_.of(w);
    const auto sum = sums_.find(i);
    if (!pack) {
      if (sum != sums_.end()) skipped_.erase(sum->second);
      return false;
    }
    program_.packs_.push_back(pack);
    const float* px = x.const_data_ptr<float>();
    const int64_t k = x.size(1), n = w.size(0), rows = program_.rows_;
    const at::Tensor& made = tensorAt(call.results, 0);
    const at::Tensor& y = sum == sums_.end() ? made : tensorAt(calls_[sum->second].results, 0);
    Start start;
    if (sum != sums_.end()) {
      const OperatorCall& add = calls_[sum->second];
      const at::Tensor &a = tensorAt(add.arguments, 0), &b = tensorAt(add.arguments, 1);
      const at::Tensor& other = storageOf(a) == storageOf(made) ? b : a;
      start = {other.const_data_ptr<float>(), other.dim() == 1 ? 0 : n};
    }
    float* py = y.data_ptr<float>();
    const PackedWeights* packed = &pack->packed;
    Stage& own = stage(call);
    if (w.numel() > kOwnWeights) {
      own.panelCount = packed->panels();
      own.panels = [=](int64_t begin, int64_t end) { multiply(px, rows, *packed, start, py, begin, end); };
    } else {
      own.rows = [=](int64_t begin, int64_t end) {
        const Start from{start.data == nullptr ? nullptr : start.data + begin * start.stride, start.stride};
        multiply(px + begin * k, end - begin, *packed, from, py + begin * n, 0, packed->panels());
      };
    }
    return true;
  }

  bool norm(size_t i) {
    const OperatorCall& call = calls_[i];
    const at::Tensor &x = tensorAt(call.arguments, 0), &weight = tensorAt(call.arguments, 1), &y = tensorAt(call.results, 0);
    const int64_t d = x.size(-1);
    if (!byRow(x) || !given(weight) || !byRow(y) || width(x) % d != 0) return false;
    const float *px = x.const_data_ptr<float>(), *pw = weight.const_data_ptr<float>();
    float* py = y.data_ptr<float>();
    const int64_t each = width(x) / d;
    const float eps = static_cast<float>(call.arguments[2].toDouble());
    stage(call).rows = [=](int64_t begin, int64_t end) {
      for (int64_t r = begin * each; r < end * each; r++) rmsNormRow(py + r * d, px + r * d, pw, d, eps);
    };
    return true;
  }

  bool rope(size_t i) {
    const OperatorCall& call = calls_[i];
    const at::Tensor &x = tensorAt(call.arguments, 0), &positions = tensorAt(call.arguments, 1), &cos = tensorAt(call.arguments, 2), &sin = tensorAt(call.arguments, 3),
                     &y = tensorAt(call.results, 0);
    if (x.dim() != 3 || x.size(0) != program_.rows_ || !byRow(x) || !index(positions) || !given(cos) || !given(sin) || !byRow(y)) return false;
    const float *px = x.const_data_ptr<float>(), *pc = cos.const_data_ptr<float>(), *ps = sin.const_data_ptr<float>();
    const int32_t* pp = positions.const_data_ptr<int32_t>();
    float* py = y.data_ptr<float>();
    const int64_t heads = x.size(1), half = x.size(2) / 2, known = cos.size(0);
    const float sign = call.arguments[4].toBool() ? -1.0f : 1.0f;
    check(call.op->name, {pp, pc}, [=, rows = program_.rows_] {
      for (int64_t r = 0; r < rows; r++) TORCH_CHECK(pp[r] >= 0 && pp[r] < known, "position ", pp[r], " is outside the table of ", known, " angles");
    });
    stage(call).rows = [=](int64_t begin, int64_t end) {
      const int64_t all = 2 * heads * half;
      for (int64_t r = begin; r < end; r++) ropeRow(py + r * all, px + r * all, pc + pp[r] * half, ps + pp[r] * half, heads, half, sign);
    };
    return true;
  }

  bool swiglu(size_t i) {
    const OperatorCall& call = calls_[i];
    const at::Tensor &gate = tensorAt(call.arguments, 0), &up = tensorAt(call.arguments, 1), &y = tensorAt(call.results, 0);
    if (!byRow(gate) || !byRow(up) || !byRow(y)) return false;
    const float *pg = gate.const_data_ptr<float>(), *pu = up.const_data_ptr<float>();
    float* py = y.data_ptr<float>();
    const int64_t n = width(gate);
    stage(call).rows = [=](int64_t begin, int64_t end) { swigluRange(py + begin * n, pg + begin * n, pu + begin * n, (end - begin) * n); };
    return true;
  }

  bool append(size_t i) {
    const OperatorCall& call = calls_[i];
    const at::Tensor &kPool = tensorAt(call.arguments, 0), &vPool = tensorAt(call.arguments, 1), &k = tensorAt(call.arguments, 2), &v = tensorAt(call.arguments, 3),
                     &slots = tensorAt(call.arguments, 4);
    TORCH_CHECK(given(kPool) && given(vPool) && index(slots) && slots.numel() == program_.rows_ && byRow(k) && byRow(v), "the cache does not fit a program");
    float *pk = kPool.data_ptr<float>(), *pv = vPool.data_ptr<float>();
    const float *fromK = k.const_data_ptr<float>(), *fromV = v.const_data_ptr<float>();
    const int32_t* ps = slots.const_data_ptr<int32_t>();
    const int64_t n = kPool.size(2) * kPool.size(3), places = kPool.size(0) * kPool.size(1);
    TORCH_CHECK(width(k) == n && width(v) == n, "keys and values do not fit the pool");
    check(call.op->name, {ps, reinterpret_cast<const void*>(places)}, [=, rows = program_.rows_] { checkSlots(ps, rows, places); });
    appends_[pk] = ps;
    Stage& own = stage(call);
    own.appends = true;
    own.rows = [=](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; r++) {
        std::copy(fromK + r * n, fromK + (r + 1) * n, pk + ps[r] * n);
        std::copy(fromV + r * n, fromV + (r + 1) * n, pv + ps[r] * n);
      }
    };
    return true;
  }

  bool attention(size_t i) {
    const OperatorCall& call = calls_[i];
    const at::Tensor &q = tensorAt(call.arguments, 0), &kPool = tensorAt(call.arguments, 1), &vPool = tensorAt(call.arguments, 2), &table = tensorAt(call.arguments, 3),
                     &seq = tensorAt(call.arguments, 4), &pos = tensorAt(call.arguments, 5), &y = tensorAt(call.results, 0);
    if (q.dim() != 3 || q.size(0) != program_.rows_ || !byRow(q) || !given(kPool) || !given(vPool) || !index(table) || !index(seq) || !index(pos) || !byRow(y)) return false;
    const int64_t heads = q.size(1), d = q.size(2), rows = program_.rows_;
    const PagedView view{kPool.const_data_ptr<float>(), vPool.const_data_ptr<float>(), table.const_data_ptr<int32_t>(), seq.const_data_ptr<int32_t>(), pos.const_data_ptr<int32_t>(),
                         heads, kPool.size(2), d, kPool.size(0), kPool.size(1), table.size(0), table.size(1), rows, static_cast<float>(call.arguments[6].toDouble())};
    const std::vector<const void*> key{view.table, view.seq, view.pos, reinterpret_cast<const void*>(view.blocks)};
    check(call.op->name, key, [view] { checkPaged(view); });
    const auto slots = appends_.find(view.k);
    if (slots != appends_.end() && used_.insert({key, slots->second}).second) {
      program_.uses_.push_back({slots->second, view.table, view.seq, view.pos, rows, view.blocks, view.blockSize, view.maxBlocks});
    }
    const float* pq = q.const_data_ptr<float>();
    float* py = y.data_ptr<float>();
    stage(call).rows = [=](int64_t begin, int64_t end) {
      static thread_local std::vector<float> scores;
      for (int64_t r = begin; r < end; r++) attendRow(view, r, pq + r * heads * d, py + r * heads * d, scores);
    };
    return true;
  }

  bool sample(size_t i) {
    const OperatorCall& call = calls_[i];
    const at::Tensor& logits = tensorAt(call.arguments, 0);
    if (logits.size(0) != program_.rows_ || !byRow(logits)) return false;
    for (size_t j = 0; j < 3; j++) {
      if (!byRow(tensorAt(call.results, j), j == 0 ? at::kInt : at::kFloat)) return false;
    }
    const at::Tensor &temperature = tensorAt(call.arguments, 1), &topK = tensorAt(call.arguments, 2), &topP = tensorAt(call.arguments, 3), &uniform = tensorAt(call.arguments, 4);
    if (!given(temperature) || !index(topK) || !given(topP) || !given(uniform)) return false;
    const float *pl = logits.const_data_ptr<float>(), *pt = temperature.const_data_ptr<float>(), *pp = topP.const_data_ptr<float>(), *pu = uniform.const_data_ptr<float>();
    const int32_t* pk = topK.const_data_ptr<int32_t>();
    int32_t* ids = tensorAt(call.results, 0).data_ptr<int32_t>();
    float *logProbs = tensorAt(call.results, 1).data_ptr<float>(), *model = tensorAt(call.results, 2).data_ptr<float>();
    const int64_t n = width(logits);
    stage(call).rows = [=](int64_t begin, int64_t end) {
      static thread_local std::vector<float> weights, sorted;
      for (int64_t r = begin; r < end; r++) {
        const Drawn drawn = sampleRow(pl + r * n, n, {pt[r], pk[r], pp[r], pu[r]}, weights, sorted);
        ids[r] = drawn.id;
        logProbs[r] = drawn.logProb;
        model[r] = drawn.modelLogProb;
      }
    };
    return true;
  }

  Program& program_;
  Packs& packs_;
  const std::vector<OperatorCall>& calls_;
  std::unordered_set<const void*> pinned_;
  std::map<const void*, Lifetime> made_;
  /// Sums by the products that they are computed with.
  std::map<size_t, size_t> sums_;
  std::set<size_t> skipped_;
  std::set<std::pair<std::string, std::vector<const void*>>> checked_;
  /// Slots that were written by pool.
  std::map<const float*, const int32_t*> appends_;
  std::set<std::pair<std::vector<const void*>, const int32_t*>> used_;
};

void buildStages(Program& program, Packs& packs, const std::vector<OperatorCall>& calls, const std::vector<const void*>& shared) {
  Builder(program, packs, calls, shared).build();
}

}  // namespace search_r1
