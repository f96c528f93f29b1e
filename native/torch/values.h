// Values of Node-API to values of ATen and back.
#pragma once

#include "state.h"

namespace search_r1 {

/// Throws Misuse unless a call of Node-API went well.
void check(napi_status status, const char* what);

double numberOf(napi_env env, napi_value value, const char* what);
int64_t integerOf(napi_env env, napi_value value, const char* what);
std::string stringOf(napi_env env, napi_value value, const char* what);
uint32_t handleOf(napi_env env, napi_value value);
std::vector<int64_t> integersOf(napi_env env, napi_value value, const char* what);

napi_value fromNumber(napi_env env, double value);
napi_value undefined(napi_env env);

/// What an operator's schema says about its arguments, in the form that toIValue switches over.
std::vector<Argument> argumentsOf(const c10::FunctionSchema& schema);

/// Converts by the type that the schema asks for: a number is a tensor's handle where a tensor is expected.
c10::IValue toIValue(napi_env env, State& state, napi_value value, const Argument& argument);

/// Gives tensors handles; numbers, lists and tuples become JavaScript's.
napi_value fromIValue(napi_env env, State& state, const c10::IValue& value);

/// The bytes of a typed array and the type of its elements.
struct TypedArray {
  void* data;
  size_t length;
  at::ScalarType type;
};
TypedArray typedArrayOf(napi_env env, napi_value value);

/// Runs `body` and turns what it throws into a JavaScript error with `code` (OUT_OF_MEMORY, ATEN or MISUSE).
template <class Body>
napi_value guarded(napi_env env, Body body);

/// Throws the JavaScript error for the C++ exception that is being handled.
void rethrow(napi_env env, const std::string& operatorName, const std::string& shapes);

template <class Body>
napi_value guarded(napi_env env, Body body) {
  try {
    return body();
  } catch (...) {
    rethrow(env, "", "");
    return nullptr;
  }
}

}  // namespace search_r1
