// Programs as JavaScript sees them: numbers, like tensors.
#include "program.h"
#include "values.h"

#include <array>
#include <cstring>

namespace search_r1 {

void ProgramStateDeleter::operator()(ProgramState* state) const { delete state; }

ProgramState& programsOf(State& state) {
  if (!state.programs) state.programs.reset(new ProgramState());
  return *state.programs;
}

Recording* recordingOf(const State& state) { return state.programs ? state.programs->recording.get() : nullptr; }

void written(const State& state, const at::Tensor& tensor) {
  if (state.programs) state.programs->packs.written(tensor);
}

using Body = napi_value (*)(napi_env, State&, const std::array<napi_value, 2>&);

template <Body body>
static napi_value wrap(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    size_t count = 2;
    std::array<napi_value, 2> args{};
    check(napi_get_cb_info(env, info, &count, args.data(), nullptr, nullptr), "the arguments could not be read");
    return body(env, stateOf(env), args);
  });
}

static std::vector<at::Tensor> tensorsOf(napi_env env, const State& state, napi_value list) {
  std::vector<at::Tensor> tensors;
  for (const int64_t handle : integersOf(env, list, "tensors must be an array of handles")) tensors.push_back(state.handles.get(static_cast<uint32_t>(handle)));
  return tensors;
}

/// beginRecording(inputs): what operators do from here on is written down.
static napi_value beginRecording(napi_env env, State& state, const std::array<napi_value, 2>& args) {
  ProgramState& own = programsOf(state);
  if (own.recording) throw Misuse("a recording is under way");
  if (!state.device.is_cpu()) throw Misuse("programs are for the processor");
  auto recording = std::make_unique<Recording>();
  recording->inputs = tensorsOf(env, state, args[0]);
  own.recording = std::move(recording);
  return undefined(env);
}

/// endRecording(outputs?): a program's id; without outputs the recording is given up.
static napi_value endRecording(napi_env env, State& state, const std::array<napi_value, 2>& args) {
  ProgramState& own = programsOf(state);
  if (!own.recording) throw Misuse("nothing is being recorded");
  const auto recording = std::move(own.recording);
  napi_valuetype type = napi_undefined;
  if (args[0] != nullptr) check(napi_typeof(env, args[0], &type), "the outputs could not be read");
  if (type == napi_undefined) return fromNumber(env, 0);
  const auto outputs = tensorsOf(env, state, args[0]);
  auto program = std::make_unique<Program>(own.packs, std::move(*recording), outputs, state.handles.storages());
  const uint32_t id = own.next++;
  own.programs.emplace(id, std::move(program));
  return fromNumber(env, id);
}

static Program& programOf(napi_env env, ProgramState& own, napi_value id) {
  const auto found = own.programs.find(handleOf(env, id));
  if (found == own.programs.end()) throw Misuse("there is no such program");
  return *found->second;
}

/// runProgram(program, arrays): writes the arrays into the inputs, repeats the computation and gives copies of its outputs.
static napi_value runProgram(napi_env env, State& state, const std::array<napi_value, 2>& args) {
  Program& program = programOf(env, programsOf(state), args[0]);
  for (size_t i = 0; i < program.inputs().size(); i++) {
    napi_value element;
    check(napi_get_element(env, args[1], static_cast<uint32_t>(i), &element), "an input is missing");
    const TypedArray array = typedArrayOf(env, element);
    const at::Tensor& input = program.inputs()[i];
    if (static_cast<int64_t>(array.length) != input.numel() || array.type != input.scalar_type()) throw Misuse("an input has another size or type than the recorded one");
    if (array.length > 0) std::memcpy(input.data_ptr(), array.data, input.nbytes());
  }
  try {
    program.run();
  } catch (...) {
    rethrow(env, program.operatorName(), "");
    return nullptr;
  }
  napi_value results;
  check(napi_create_array_with_length(env, program.outputs().size(), &results), "an array could not be made");
  uint32_t i = 0;
  for (const at::Tensor& output : program.outputs()) check(napi_set_element(env, results, i++, fromNumber(env, state.handles.add(output.clone()))), "an array could not be filled");
  return results;
}

static napi_value releaseProgram(napi_env env, State& state, const std::array<napi_value, 2>& args) {
  if (programsOf(state).programs.erase(handleOf(env, args[0])) == 0) throw Misuse("there is no such program");
  return undefined(env);
}

static napi_property_descriptor method(const char* name, napi_callback callback) {
  return {name, nullptr, callback, nullptr, nullptr, nullptr, napi_enumerable, nullptr};
}

std::vector<napi_property_descriptor> programFunctions() {
  return {method("beginRecording", wrap<beginRecording>), method("endRecording", wrap<endRecording>), method("runProgram", wrap<runProgram>),
          method("releaseProgram", wrap<releaseProgram>)};
}

}  // namespace search_r1
