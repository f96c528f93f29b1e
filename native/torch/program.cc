#include "program.h"

#include <ATen/Parallel.h>

#include <algorithm>

namespace search_r1 {

/// A matrix of more elements is left to ATen, and so is everything once copies take more than this together.
static constexpr int64_t kMostPacked = int64_t{1} << 22, kMostPackedTogether = int64_t{1} << 26;

std::shared_ptr<Pack> Packs::of(const at::Tensor& weights) {
  const void* key = weights.const_data_ptr();
  int64_t together = weights.numel();
  for (auto entry = packs_.begin(); entry != packs_.end();) {
    const auto known = entry->second.lock();
    if (!known) {
      entry = packs_.erase(entry);
      continue;
    }
    if (entry->first == key && known->source.sizes() == weights.sizes()) return known;
    together += known->source.numel();
    ++entry;
  }
  if (weights.numel() > kMostPacked || together > kMostPackedTogether) return nullptr;
  auto pack = std::make_shared<Pack>(Pack{weights, PackedWeights(weights.size(0), weights.size(1))});
  packs_[key] = pack;
  return pack;
}

void Packs::written(const at::Tensor& tensor) {
  if (packs_.empty() || !tensor.defined()) return;
  for (auto& entry : packs_) {
    const auto known = entry.second.lock();
    if (known && storageOf(known->source) == storageOf(tensor)) known->stale = true;
  }
}

bool CacheUse::independent() const {
  static thread_local std::vector<int32_t> writer;
  writer.assign(static_cast<size_t>(blocks), -1);
  for (int64_t t = 0; t < tokens; t++) {
    int32_t& own = writer[slots[t] / blockSize];
    if (own != -1) return false;
    own = static_cast<int32_t>(t);
  }
  for (int64_t t = 0; t < tokens; t++) {
    const int32_t* seen = table + seq[t] * maxBlocks;
    for (int64_t b = 0; b <= pos[t] / blockSize; b++) {
      const int32_t other = writer[seen[b]];
      if (other != -1 && other != t) return false;
    }
  }
  return true;
}

Program::Program(Packs& packs, Recording recording, const std::vector<at::Tensor>& outputs, const std::vector<const void*>& shared)
    : inputs_(std::move(recording.inputs)), outputs_(outputs) {
  TORCH_CHECK(recording.refusal.empty(), recording.refusal);
  if (!inputs_.empty() && inputs_[0].dim() > 0) rows_ = std::max<int64_t>(1, inputs_[0].size(0));
  buildStages(*this, packs, recording.calls, shared);
  // What the computation is given stays where it is as long as the program does.
  for (const OperatorCall& call : recording.calls) {
    for (const auto& value : call.arguments) {
      if (value.isTensor() && value.toTensor().defined()) kept_.push_back(value.toTensor());
    }
    for (const auto& value : call.results) {
      if (value.isTensor() && value.toTensor().defined()) kept_.push_back(value.toTensor());
    }
  }
}

void Program::section(size_t begin, size_t end) {
  const int64_t threads = std::max(1, at::get_num_threads());
  const int64_t lane = ((rows_ + threads - 1) / threads + kRowBlock - 1) / kRowBlock * kRowBlock, lanes = (rows_ + lane - 1) / lane;
  at::parallel_for(0, lanes, 1, [&](int64_t first, int64_t last) {
    for (int64_t own = first; own < last; own++) {
      for (size_t i = begin; i < end; i++) stages_[i].rows(own * lane, std::min(rows_, (own + 1) * lane));
    }
  });
}

void Program::run() {
  for (const auto& [name, check] : checks_) {
    name_ = name;
    check();
  }
  const bool inOrder = !std::all_of(uses_.begin(), uses_.end(), [](const CacheUse& use) { return use.independent(); });
  for (const auto& pack : packs_) {
    if (!pack->stale) continue;
    pack->packed.fill(pack->source.const_data_ptr<float>());
    pack->stale = false;
  }
  const auto ofRows = [&](const Stage& stage) { return stage.rows && !(inOrder && stage.appends); };
  for (size_t i = 0; i < stages_.size();) {
    const Stage& stage = stages_[i];
    name_ = stage.name;
    if (ofRows(stage)) {
      size_t end = i + 1;
      while (end < stages_.size() && ofRows(stages_[end])) end++;
      section(i, end);
      i = end;
      continue;
    }
    if (stage.alone) stage.alone();
    else if (stage.rows) stage.rows(0, rows_);
    else at::parallel_for(0, stage.panelCount, 8, [&](int64_t begin, int64_t end) { stage.panels(begin, end); });
    i++;
  }
}

}  // namespace search_r1
