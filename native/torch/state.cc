#include "state.h"

#include <algorithm>

namespace search_r1 {

bool Handles::valid(uint32_t handle) const {
  const uint32_t slot = handle & kSlotMask;
  return slot < slots_.size() && slots_[slot].used && slots_[slot].generation == handle >> kSlotBits;
}

uint32_t Handles::add(at::Tensor tensor) {
  uint32_t slot;
  if (free_.empty()) {
    slot = static_cast<uint32_t>(slots_.size());
    if (slot > kSlotMask) throw Misuse("more than a million tensors are alive: are they released?");
    slots_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  Slot& entry = slots_[slot];
  entry.tensor = std::move(tensor);
  entry.used = true;
  live_++;
  const uint32_t handle = entry.generation << kSlotBits | slot;
  if (!marks_.empty()) journal_.push_back(handle);
  return handle;
}

const at::Tensor& Handles::get(uint32_t handle) const {
  if (!valid(handle)) throw Misuse("the tensor handle " + std::to_string(handle) + " was released or never given out");
  return slots_[handle & kSlotMask].tensor;
}

void Handles::release(uint32_t handle) {
  if (!valid(handle)) throw Misuse("the tensor handle " + std::to_string(handle) + " was released before");
  const uint32_t slot = handle & kSlotMask;
  Slot& entry = slots_[slot];
  entry.tensor.reset();
  entry.used = false;
  entry.generation = entry.generation == 0xfff ? 1 : entry.generation + 1;
  free_.push_back(slot);
  live_--;
}

void Handles::endScope(const uint32_t* keep, size_t count) {
  if (marks_.empty()) throw Misuse("no scope is open");
  const size_t mark = marks_.back();
  marks_.pop_back();
  size_t kept = mark;
  for (size_t i = mark; i < journal_.size(); i++) {
    const uint32_t handle = journal_[i];
    if (!valid(handle)) continue;
    if (std::find(keep, keep + count, handle) == keep + count) {
      release(handle);
    } else if (!marks_.empty()) {
      journal_[kept++] = handle;
    }
  }
  journal_.resize(kept);
}

void Handles::keep(uint32_t handle) {
  for (size_t i = journal_.size(); i > 0; i--) {
    if (journal_[i - 1] == handle) {
      journal_[i - 1] = 0;
      return;
    }
  }
}

std::vector<const void*> Handles::storages() const {
  std::vector<const void*> found;
  found.reserve(live_);
  for (const Slot& slot : slots_) {
    if (slot.used && slot.tensor.defined() && slot.tensor.has_storage()) found.push_back(slot.tensor.storage().unsafeGetStorageImpl());
  }
  return found;
}

uint64_t Handles::bytes() const {
  uint64_t sum = 0;
  for (const Slot& slot : slots_) {
    if (slot.used && slot.tensor.defined()) sum += slot.tensor.nbytes();
  }
  return sum;
}

}  // namespace search_r1
