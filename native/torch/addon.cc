// All of ATen for Node: an operator is found by name, its arguments are converted by its own schema, and it is called
// boxed. Tensors are numbers on JavaScript's side and are released explicitly, one by one or with a scope.
#include "cuda.h"
#include "program.h"
#include "values.h"

#include <ATen/Parallel.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <c10/core/GradMode.h>
#include <torch/version.h>

#include <array>
#include <cstring>

namespace search_r1 {

static constexpr size_t kMaxArguments = 32;

struct Arguments {
  size_t count = kMaxArguments;
  std::array<napi_value, kMaxArguments> values{};
  Arguments(napi_env env, napi_callback_info info) {
    check(napi_get_cb_info(env, info, &count, values.data(), nullptr, nullptr), "the arguments could not be read");
    if (count > kMaxArguments) throw Misuse("too many arguments");
  }
  napi_value operator[](size_t i) const {
    if (i >= count) throw Misuse("an argument is missing");
    return values[i];
  }
};

State& stateOf(napi_env env) {
  void* data = nullptr;
  check(napi_get_instance_data(env, &data), "the addon has no state");
  return *static_cast<State*>(data);
}

static napi_value lookUp(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments args(env, info);
    const std::string name = stringOf(env, args[0], "an operator's name must be a string");
    const std::string overload = args.count > 1 ? stringOf(env, args[1], "an overload must be a string") : "";
    State& state = stateOf(env);
    const std::string full = overload.empty() ? name : name + "." + overload;
    const auto known = state.operatorIds.find(full);
    if (known != state.operatorIds.end()) return fromNumber(env, known->second);
    const auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
    if (!handle.has_value()) throw Misuse("this PyTorch has no operator " + full);
    const auto id = static_cast<uint32_t>(state.operators.size());
    std::vector<size_t> writes;
    const auto& declared = handle->schema().arguments();
    for (size_t i = 0; i < declared.size(); i++) {
      if (declared[i].alias_info() != nullptr && declared[i].alias_info()->isWrite()) writes.push_back(i);
    }
    state.operators.push_back({*handle, full, argumentsOf(handle->schema()), std::move(writes)});
    state.operatorIds.emplace(full, id);
    return fromNumber(env, id);
  });
}

static napi_value hasOperator(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments args(env, info);
    const std::string name = stringOf(env, args[0], "an operator's name must be a string");
    const std::string overload = args.count > 1 ? stringOf(env, args[1], "an overload must be a string") : "";
    napi_value result;
    check(napi_get_boolean(env, c10::Dispatcher::singleton().findSchema({name, overload}).has_value(), &result), "no boolean");
    return result;
  });
}

static Operator& operatorOf(napi_env env, State& state, napi_value value) {
  uint32_t id;
  check(napi_get_value_uint32(env, value, &id), "an operator's id must be a number");
  if (id >= state.operators.size()) throw Misuse("no operator has this id");
  return state.operators[id];
}

static napi_value schemaText(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments args(env, info);
    std::ostringstream text;
    text << operatorOf(env, stateOf(env), args[0]).handle.schema();
    napi_value result;
    check(napi_create_string_utf8(env, text.str().c_str(), NAPI_AUTO_LENGTH, &result), "no string");
    return result;
  });
}

static std::string shapesOf(const torch::jit::Stack& stack) {
  std::ostringstream text;
  const auto add = [&](const at::Tensor& tensor) {
    if (text.tellp() > 0) text << ", ";
    if (tensor.defined()) {
      text << tensor.scalar_type() << tensor.sizes();
    } else {
      text << "none";
    }
  };
  for (const auto& value : stack) {
    if (value.isTensor()) add(value.toTensor());
    if (value.isTensorList()) {
      for (const auto& tensor : value.toTensorVector()) add(tensor);
    }
  }
  return text.str();
}

static napi_value call(napi_env env, napi_callback_info info) {
  const Operator* op = nullptr;
  std::string shapes;
  try {
    const Arguments args(env, info);
    State& state = stateOf(env);
    op = &operatorOf(env, state, args[0]);
    const size_t expected = op->arguments.size();
    if (args.count - 1 > expected) throw Misuse("the operator takes " + std::to_string(expected) + " arguments");
    torch::jit::Stack stack;
    stack.reserve(expected);
    for (size_t i = 0; i < expected; i++) {
      const Argument& argument = op->arguments[i];
      if (i + 1 < args.count) {
        stack.push_back(toIValue(env, state, args.values[i + 1], argument));
      } else if (argument.required) {
        throw Misuse("argument " + std::to_string(i + 1) + " is missing");
      } else {
        stack.push_back(argument.fallback);
      }
    }
    for (const size_t i : op->writes) {
      if (stack[i].isTensor()) written(state, stack[i].toTensor());
    }
    Recording* recording = recordingOf(state);
    torch::jit::Stack given;
    if (recording != nullptr) given = stack;
    try {
      if (c10::GradMode::is_enabled()) {
        op->handle.callBoxed(stack);
      } else {
        const at::AutoDispatchBelowADInplaceOrView below;
        op->handle.callBoxed(stack);
      }
    } catch (...) {
      shapes = shapesOf(stack);
      throw;
    }
    if (recording != nullptr) recording->calls.push_back({op, std::move(given), stack});
    if (stack.empty()) return undefined(env);
    if (stack.size() == 1) return fromIValue(env, state, stack[0]);
    napi_value results;
    check(napi_create_array_with_length(env, stack.size(), &results), "an array could not be made");
    for (size_t i = 0; i < stack.size(); i++) {
      check(napi_set_element(env, results, static_cast<uint32_t>(i), fromIValue(env, state, stack[i])), "an array could not be filled");
    }
    return results;
  } catch (...) {
    rethrow(env, op == nullptr ? "" : op->name, shapes);
    return nullptr;
  }
}

/// fromData(typedArray, shape, dtype?): a tensor on the environment's device; one copy.
static napi_value fromData(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments args(env, info);
    State& state = stateOf(env);
    const TypedArray array = typedArrayOf(env, args[0]);
    const auto shape = integersOf(env, args[1], "a shape must be an array of whole numbers");
    const auto type = args.count > 2 ? static_cast<at::ScalarType>(integerOf(env, args[2], "a type must be a number")) : array.type;
    if (c10::elementSize(type) != c10::elementSize(array.type)) throw Misuse("the typed array has elements of another size");
    int64_t size = 1;
    for (const int64_t length : shape) size *= length;
    if (size != static_cast<int64_t>(array.length)) {
      throw Misuse("the shape asks for " + std::to_string(size) + " elements, the typed array has " + std::to_string(array.length));
    }
    at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(type).device(state.device));
    if (size > 0) tensor.copy_(at::from_blob(array.data, shape, at::TensorOptions().dtype(type)), true);
    return fromNumber(env, state.handles.add(std::move(tensor)));
  });
}

/// write(handle, typedArray): overwrites the tensor's elements.
static napi_value writeData(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments args(env, info);
    const State& state = stateOf(env);
    const at::Tensor tensor = state.handles.get(handleOf(env, args[0]));
    const TypedArray array = typedArrayOf(env, args[1]);
    if (static_cast<int64_t>(array.length) != tensor.numel()) throw Misuse("the typed array has another length than the tensor");
    if (Recording* recording = recordingOf(state)) recording->refuse("it writes to a tensor");
    written(state, tensor);
    if (array.length > 0) tensor.copy_(at::from_blob(array.data, tensor.sizes(), at::TensorOptions().dtype(array.type)), true);
    return undefined(env);
  });
}

/// read(handle, typedArray): fills the typed array, converting on the device where the types differ.
static napi_value readData(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments args(env, info);
    const State& state = stateOf(env);
    const at::Tensor tensor = state.handles.get(handleOf(env, args[0]));
    const TypedArray array = typedArrayOf(env, args[1]);
    if (static_cast<int64_t>(array.length) != tensor.numel()) throw Misuse("the typed array has another length than the tensor");
    if (Recording* recording = recordingOf(state)) recording->refuse("it reads a tensor");
    if (array.length > 0) {
      const at::Tensor converted = tensor.to(array.type).contiguous();
      at::from_blob(array.data, tensor.sizes(), at::TensorOptions().dtype(array.type)).copy_(converted);
    }
    return args[1];
  });
}

static napi_value reshape(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments args(env, info);
    State& state = stateOf(env);
    const auto shape = integersOf(env, args[1], "a shape must be an array of whole numbers");
    const at::Tensor tensor = state.handles.get(handleOf(env, args[0]));
    at::Tensor shaped = tensor.reshape(shape);
    Recording* recording = recordingOf(state);
    if (recording != nullptr && !shaped.is_alias_of(tensor)) recording->refuse("it copies a tensor into another shape");
    return fromNumber(env, state.handles.add(std::move(shaped)));
  });
}

static napi_value shapeOf(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments args(env, info);
    const at::Tensor tensor = stateOf(env).handles.get(handleOf(env, args[0]));
    napi_value result;
    check(napi_create_array_with_length(env, tensor.dim(), &result), "an array could not be made");
    for (int64_t i = 0; i < tensor.dim(); i++) {
      check(napi_set_element(env, result, static_cast<uint32_t>(i), fromNumber(env, static_cast<double>(tensor.size(i)))), "an array could not be filled");
    }
    return result;
  });
}

static napi_value dtypeOf(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments args(env, info);
    return fromNumber(env, static_cast<double>(stateOf(env).handles.get(handleOf(env, args[0])).scalar_type()));
  });
}

static napi_value release(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments args(env, info);
    State& state = stateOf(env);
    for (size_t i = 0; i < args.count; i++) state.handles.release(handleOf(env, args[i]));
    return undefined(env);
  });
}

static napi_value beginScope(napi_env env, napi_callback_info) {
  return guarded(env, [&] {
    stateOf(env).handles.beginScope();
    return undefined(env);
  });
}

/// endScope(...keep): releases what was made in the scope, but for the handles given.
static napi_value endScope(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments args(env, info);
    std::array<uint32_t, kMaxArguments> keep{};
    for (size_t i = 0; i < args.count; i++) keep[i] = handleOf(env, args[i]);
    stateOf(env).handles.endScope(keep.data(), args.count);
    return undefined(env);
  });
}

/// keep(...handles): they outlive the scopes that are open.
static napi_value keep(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments args(env, info);
    for (size_t i = 0; i < args.count; i++) stateOf(env).handles.keep(handleOf(env, args[i]));
    return undefined(env);
  });
}

static napi_value live(napi_env env, napi_callback_info) {
  return guarded(env, [&] {
    const State& state = stateOf(env);
    napi_value result;
    check(napi_create_object(env, &result), "an object could not be made");
    check(napi_set_named_property(env, result, "tensors", fromNumber(env, static_cast<double>(state.handles.live()))), "no property");
    check(napi_set_named_property(env, result, "bytes", fromNumber(env, static_cast<double>(state.handles.bytes()))), "no property");
    return result;
  });
}

static napi_value gradMode(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments args(env, info);
    bool enabled;
    check(napi_get_value_bool(env, args[0], &enabled), "the gradient mode must be a boolean");
    c10::GradMode::set_enabled(enabled);
    return undefined(env);
  });
}

static napi_value threads(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments args(env, info);
    if (args.count > 0) at::set_num_threads(static_cast<int>(integerOf(env, args[0], "a number of threads is expected")));
    return fromNumber(env, at::get_num_threads());
  });
}

/// device("cpu" | "cuda" | "cuda:N"): where tensors of this environment are made from now on.
static napi_value useDevice(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments args(env, info);
    State& state = stateOf(env);
    const c10::Device device(stringOf(env, args[0], "a device must be a string"));
    if (device.is_cuda()) {
      cudaUse(state, device.has_index() ? device.index() : 0);
    } else {
      state.device = device;
    }
    return undefined(env);
  });
}

static napi_property_descriptor method(const char* name, napi_callback callback) {
  return {name, nullptr, callback, nullptr, nullptr, nullptr, napi_enumerable, nullptr};
}

static napi_value initialize(napi_env env, napi_value exports) {
  return guarded(env, [&] {
    check(napi_set_instance_data(env, new State(), [](napi_env, void* data, void*) { delete static_cast<State*>(data); }, nullptr), "no state");
    c10::GradMode::set_enabled(false);
    std::vector<napi_property_descriptor> methods = {
        method("op", lookUp),         method("hasOp", hasOperator),   method("schema", schemaText), method("call", call),
        method("fromData", fromData), method("write", writeData),     method("read", readData),     method("reshape", reshape),
        method("shape", shapeOf),     method("dtype", dtypeOf),       method("release", release),   method("beginScope", beginScope),
        method("endScope", endScope), method("keep", keep),           method("live", live),           method("gradMode", gradMode), method("threads", threads),
        method("device", useDevice)};
    for (const auto& descriptor : cudaFunctions()) methods.push_back(descriptor);
    for (const auto& descriptor : programFunctions()) methods.push_back(descriptor);
    check(napi_define_properties(env, exports, methods.size(), methods.data()), "the addon's functions could not be defined");
    napi_value version, cuda;
    check(napi_create_string_utf8(env, TORCH_VERSION, NAPI_AUTO_LENGTH, &version), "no version");
    check(napi_set_named_property(env, exports, "torchVersion", version), "no version");
    check(napi_get_boolean(env, cudaBuilt(), &cuda), "no flag");
    check(napi_set_named_property(env, exports, "cudaBuilt", cuda), "no flag");
    return exports;
  });
}

}  // namespace search_r1

NAPI_MODULE_INIT() { return search_r1::initialize(env, exports); }
