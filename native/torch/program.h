// Computations on the processor that are written down while they run, operator by operator, and repeated in one call: on
// the memory that they ran on, with our own kernels where we have them, rows of the batch staying on their thread.
#pragma once

#include "gemm.h"
#include "state.h"

#include <functional>

namespace search_r1 {

inline const void* storageOf(const at::Tensor& tensor) { return tensor.storage().unsafeGetStorageImpl(); }

/// Packed weights with what they were made of.
struct Pack {
  at::Tensor source;
  PackedWeights packed;
  bool stale = true;
};

/// Packed copies of weights by where these begin; shared by programs, and made anew when an operator has written to them.
class Packs {
 public:
  /// Nothing where the copies would take more memory than they are worth.
  std::shared_ptr<Pack> of(const at::Tensor& weights);
  void written(const at::Tensor& tensor);

 private:
  std::unordered_map<const void*, std::weak_ptr<Pack>> packs_;
};

/// A call of an operator as it was made.
struct OperatorCall {
  const Operator* op;
  torch::jit::Stack arguments, results;
};

struct Recording {
  std::vector<at::Tensor> inputs;
  std::vector<OperatorCall> calls;
  /// Why it cannot be repeated.
  std::string refusal;
  void refuse(const std::string& why) {
    if (refusal.empty()) refusal = why;
  }
};

/// Which slots of the cache a batch writes to and what its tokens see.
struct CacheUse {
  const int32_t *slots, *table, *seq, *pos;
  int64_t tokens, blocks, blockSize, maxBlocks;
  /// Whether no token sees what another one writes.
  bool independent() const;
};

/// A part of a program: one of three ways to compute it.
struct Stage {
  std::string name;
  /// Some rows of the batch, out of the same rows of what was computed before.
  std::function<void(int64_t, int64_t)> rows;
  /// Some panels of weights that are too large for every thread to read them all.
  std::function<void(int64_t, int64_t)> panels;
  int64_t panelCount = 0;
  /// Everything, by the calling thread.
  std::function<void()> alone;
  bool appends = false;
};

class Program {
 public:
  /// `shared` are storages that others use too.
  Program(Packs& packs, Recording recording, const std::vector<at::Tensor>& outputs, const std::vector<const void*>& shared);
  const std::vector<at::Tensor>& inputs() const { return inputs_; }
  const std::vector<at::Tensor>& outputs() const { return outputs_; }
  /// Computes the outputs from what is in the inputs now.
  void run();
  /// The operator at work, for errors.
  const std::string& operatorName() const { return name_; }

 private:
  friend class Builder;
  void section(size_t begin, size_t end);

  int64_t rows_ = 1;
  std::vector<at::Tensor> inputs_, outputs_, kept_;
  std::vector<Stage> stages_;
  std::vector<std::pair<std::string, std::function<void()>>> checks_;
  std::vector<CacheUse> uses_;
  std::vector<std::shared_ptr<Pack>> packs_;
  std::string name_;
};

/// Makes the stages of a program, whose inputs and outputs are known, of recorded calls.
void buildStages(Program& program, Packs& packs, const std::vector<OperatorCall>& calls, const std::vector<const void*>& shared);

struct ProgramState {
  Packs packs;
  std::unique_ptr<Recording> recording;
  std::unordered_map<uint32_t, std::unique_ptr<Program>> programs;
  uint32_t next = 1;
};

/// The recording under way, if any.
Recording* recordingOf(const State& state);
/// Says that a tensor's elements have changed.
void written(const State& state, const at::Tensor& tensor);

/// The functions on programs that JavaScript calls.
std::vector<napi_property_descriptor> programFunctions();

}  // namespace search_r1
