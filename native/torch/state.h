// What one JavaScript environment (thread) knows: its tensors behind numbers, the operators it has looked up, its device.
#pragma once

#include <node_api.h>

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

namespace search_r1 {

/// A wrong call from JavaScript: a stale handle, an argument of the wrong type.
struct Misuse : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Tensors behind numbers. The low bits of a handle are a slot, the high bits count the slot's uses, so that a handle
/// that was released is recognised. 0 is never a handle.
class Handles {
 public:
  uint32_t add(at::Tensor tensor);
  const at::Tensor& get(uint32_t handle) const;
  void release(uint32_t handle);
  /// Handles made from here on belong to a scope, and go with it unless it keeps them.
  void beginScope() { marks_.push_back(journal_.size()); }
  void endScope(const uint32_t* keep, size_t count);
  /// Takes a handle out of the scopes that are open: it lives until it is released.
  void keep(uint32_t handle);
  size_t live() const { return live_; }
  uint64_t bytes() const;
  /// The storages of all tensors that are alive.
  std::vector<const void*> storages() const;

 private:
  static constexpr uint32_t kSlotBits = 20;
  static constexpr uint32_t kSlotMask = (1u << kSlotBits) - 1;
  struct Slot {
    at::Tensor tensor;
    uint32_t generation = 1;
    bool used = false;
  };
  bool valid(uint32_t handle) const;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  std::vector<uint32_t> journal_;
  std::vector<size_t> marks_;
  size_t live_ = 0;
};

enum class Kind : uint8_t { Tensor, TensorList, OptionalTensorList, Int, Float, Scalar, Bool, String, Device, IntList, FloatList, BoolList, Unsupported };

struct Argument {
  Kind kind;
  c10::IValue fallback;
  bool required;
};

/// An operator with what its schema says about its arguments.
struct Operator {
  c10::OperatorHandle handle;
  std::string name;
  std::vector<Argument> arguments;
  /// Arguments that it changes.
  std::vector<size_t> writes;
};

struct CudaState;
/// Frees a CudaState; defined where the type is complete.
struct CudaStateDeleter {
  void operator()(CudaState* state) const;
};

struct ProgramState;
/// Frees a ProgramState; defined where the type is complete.
struct ProgramStateDeleter {
  void operator()(ProgramState* state) const;
};

struct State {
  Handles handles;
  /// Recordings point at them: they stay where they are.
  std::deque<Operator> operators;
  std::unordered_map<std::string, uint32_t> operatorIds;
  at::Device device{at::kCPU};
  std::unique_ptr<CudaState, CudaStateDeleter> cuda;
  std::unique_ptr<ProgramState, ProgramStateDeleter> programs;
};

/// The state of the calling environment.
State& stateOf(napi_env env);

}  // namespace search_r1
