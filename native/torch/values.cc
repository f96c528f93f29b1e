#include "values.h"

#include <c10/core/Allocator.h>

#include <cmath>
#include <new>

namespace search_r1 {

void check(napi_status status, const char* what) {
  if (status != napi_ok) throw Misuse(what);
}

double numberOf(napi_env env, napi_value value, const char* what) {
  double number;
  check(napi_get_value_double(env, value, &number), what);
  return number;
}

int64_t integerOf(napi_env env, napi_value value, const char* what) {
  const double number = numberOf(env, value, what);
  if (std::trunc(number) != number || std::abs(number) > 9007199254740991.0) throw Misuse(what);
  return static_cast<int64_t>(number);
}

std::string stringOf(napi_env env, napi_value value, const char* what) {
  size_t length = 0;
  check(napi_get_value_string_utf8(env, value, nullptr, 0, &length), what);
  std::string text(length, '\0');
  check(napi_get_value_string_utf8(env, value, text.data(), length + 1, &length), what);
  return text;
}

uint32_t handleOf(napi_env env, napi_value value) {
  uint32_t handle;
  check(napi_get_value_uint32(env, value, &handle), "a tensor's handle must be a number");
  return handle;
}

std::vector<int64_t> integersOf(napi_env env, napi_value value, const char* what) {
  uint32_t length;
  check(napi_get_array_length(env, value, &length), what);
  std::vector<int64_t> list(length);
  for (uint32_t i = 0; i < length; i++) {
    napi_value element;
    check(napi_get_element(env, value, i, &element), what);
    list[i] = integerOf(env, element, what);
  }
  return list;
}

napi_value fromNumber(napi_env env, double value) {
  napi_value result;
  check(napi_create_double(env, value, &result), "a number could not be made");
  return result;
}

napi_value undefined(napi_env env) {
  napi_value result;
  check(napi_get_undefined(env, &result), "undefined could not be made");
  return result;
}

static Kind kindOf(const c10::TypePtr& type) {
  switch (type->kind()) {
    case c10::TypeKind::OptionalType: return kindOf(type->castRaw<c10::OptionalType>()->getElementType());
    case c10::TypeKind::TensorType: return Kind::Tensor;
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType:
    case c10::TypeKind::ScalarTypeType:
    case c10::TypeKind::LayoutType:
    case c10::TypeKind::MemoryFormatType: return Kind::Int;
    case c10::TypeKind::FloatType: return Kind::Float;
    case c10::TypeKind::NumberType: return Kind::Scalar;
    case c10::TypeKind::BoolType: return Kind::Bool;
    case c10::TypeKind::StringType: return Kind::String;
    case c10::TypeKind::DeviceObjType: return Kind::Device;
    case c10::TypeKind::ListType: {
      const auto element = type->castRaw<c10::ListType>()->getElementType();
      const bool optional = element->kind() == c10::TypeKind::OptionalType;
      switch (kindOf(element)) {
        case Kind::Tensor: return optional ? Kind::OptionalTensorList : Kind::TensorList;
        case Kind::Int: return Kind::IntList;
        case Kind::Float: return Kind::FloatList;
        case Kind::Bool: return Kind::BoolList;
        default: return Kind::Unsupported;
      }
    }
    default: return Kind::Unsupported;
  }
}

std::vector<Argument> argumentsOf(const c10::FunctionSchema& schema) {
  std::vector<Argument> arguments;
  for (const auto& argument : schema.arguments()) {
    const auto& fallback = argument.default_value();
    const bool optional = argument.type()->kind() == c10::TypeKind::OptionalType;
    arguments.push_back({kindOf(argument.type()), fallback.value_or(c10::IValue()), !fallback.has_value() && !optional});
  }
  return arguments;
}

static c10::IValue listOf(napi_env env, State& state, napi_value value, Kind kind) {
  uint32_t length = 0;
  bool isArray = false;
  check(napi_is_array(env, value, &isArray), "an argument could not be read");
  if (!isArray) throw Misuse("an argument must be an array");
  check(napi_get_array_length(env, value, &length), "an argument must be an array");
  const auto each = [&](auto use) {
    for (uint32_t i = 0; i < length; i++) {
      napi_value element;
      check(napi_get_element(env, value, i, &element), "an element could not be read");
      use(element);
    }
  };
  switch (kind) {
    case Kind::TensorList: {
      std::vector<at::Tensor> list;
      each([&](napi_value element) { list.push_back(state.handles.get(handleOf(env, element))); });
      return c10::IValue(std::move(list));
    }
    case Kind::OptionalTensorList: {
      c10::List<std::optional<at::Tensor>> list;
      each([&](napi_value element) {
        napi_valuetype type;
        check(napi_typeof(env, element, &type), "an element could not be read");
        if (type == napi_number) {
          list.push_back(state.handles.get(handleOf(env, element)));
        } else {
          list.push_back(std::nullopt);
        }
      });
      return c10::IValue(std::move(list));
    }
    case Kind::FloatList: {
      std::vector<double> list;
      each([&](napi_value element) { list.push_back(numberOf(env, element, "a list must hold numbers")); });
      return c10::IValue(std::move(list));
    }
    case Kind::BoolList: {
      c10::List<bool> list;
      each([&](napi_value element) {
        bool flag;
        check(napi_get_value_bool(env, element, &flag), "a list must hold booleans");
        list.push_back(flag);
      });
      return c10::IValue(std::move(list));
    }
    default: return c10::IValue(integersOf(env, value, "a list must hold whole numbers"));
  }
}

c10::IValue toIValue(napi_env env, State& state, napi_value value, const Argument& argument) {
  napi_valuetype type;
  check(napi_typeof(env, value, &type), "an argument could not be read");
  if (type == napi_undefined || type == napi_null) {
    if (argument.required) throw Misuse("an argument is missing");
    return type == napi_null ? c10::IValue() : argument.fallback;
  }
  if (type == napi_boolean && (argument.kind == Kind::Bool || argument.kind == Kind::Scalar)) {
    bool flag;
    check(napi_get_value_bool(env, value, &flag), "an argument must be a boolean");
    return c10::IValue(flag);
  }
  switch (argument.kind) {
    case Kind::Tensor: return c10::IValue(state.handles.get(handleOf(env, value)));
    case Kind::Int: return c10::IValue(integerOf(env, value, "an argument must be a whole number"));
    case Kind::Float: return c10::IValue(numberOf(env, value, "an argument must be a number"));
    case Kind::Scalar: {
      const double number = numberOf(env, value, "an argument must be a number");
      if (std::trunc(number) == number && std::abs(number) < 9007199254740992.0) return c10::IValue(static_cast<int64_t>(number));
      return c10::IValue(number);
    }
    case Kind::Bool: throw Misuse("an argument must be a boolean");
    case Kind::String: return c10::IValue(stringOf(env, value, "an argument must be a string"));
    case Kind::Device: return c10::IValue(c10::Device(stringOf(env, value, "a device must be a string")));
    case Kind::TensorList:
    case Kind::OptionalTensorList:
    case Kind::IntList:
    case Kind::FloatList:
    case Kind::BoolList: return listOf(env, state, value, argument.kind);
    default: throw Misuse("an argument has a type that cannot be given from JavaScript");
  }
}

napi_value fromIValue(napi_env env, State& state, const c10::IValue& value) {
  napi_value result;
  const auto array = [&](const auto& list) {
    check(napi_create_array_with_length(env, list.size(), &result), "an array could not be made");
    uint32_t i = 0;
    for (const auto& element : list) {
      check(napi_set_element(env, result, i++, fromIValue(env, state, element)), "an array could not be filled");
    }
    return result;
  };
  if (value.isTensor()) return fromNumber(env, value.toTensor().defined() ? state.handles.add(value.toTensor()) : 0);
  if (value.isInt()) return fromNumber(env, static_cast<double>(value.toInt()));
  if (value.isDouble()) return fromNumber(env, value.toDouble());
  if (value.isBool()) {
    check(napi_get_boolean(env, value.toBool(), &result), "a boolean could not be made");
    return result;
  }
  if (value.isScalar()) return fromNumber(env, value.toScalar().toDouble());
  if (value.isTensorList()) return array(value.toTensorVector());
  if (value.isList()) return array(value.toListRef());
  if (value.isTuple()) return array(value.toTupleRef().elements());
  return undefined(env);
}

TypedArray typedArrayOf(napi_env env, napi_value value) {
  bool is = false;
  check(napi_is_typedarray(env, value, &is), "a typed array is expected");
  if (!is) throw Misuse("a typed array is expected");
  napi_typedarray_type type;
  TypedArray array{};
  check(napi_get_typedarray_info(env, value, &type, &array.length, &array.data, nullptr, nullptr), "a typed array is expected");
  switch (type) {
    case napi_float32_array: array.type = at::kFloat; break;
    case napi_float64_array: array.type = at::kDouble; break;
    case napi_int32_array: array.type = at::kInt; break;
    case napi_bigint64_array: array.type = at::kLong; break;
    case napi_uint8_array:
    case napi_uint8_clamped_array: array.type = at::kByte; break;
    case napi_int8_array: array.type = at::kChar; break;
    case napi_uint16_array: array.type = at::kBFloat16; break;
    default: throw Misuse("a typed array of this type cannot be a tensor");
  }
  return array;
}

static void throwError(napi_env env, const char* code, const std::string& message, const std::string& operatorName, const std::string& shapes) {
  napi_value codeValue, text, error, property;
  napi_create_string_utf8(env, code, NAPI_AUTO_LENGTH, &codeValue);
  napi_create_string_utf8(env, message.c_str(), message.size(), &text);
  napi_create_error(env, codeValue, text, &error);
  napi_create_string_utf8(env, operatorName.c_str(), operatorName.size(), &property);
  napi_set_named_property(env, error, "operator", property);
  napi_create_string_utf8(env, shapes.c_str(), shapes.size(), &property);
  napi_set_named_property(env, error, "shapes", property);
  napi_throw(env, error);
}

static std::string firstParagraph(const std::string& text) {
  const size_t frames = text.find("Exception raised from");
  std::string message = text.substr(0, frames == std::string::npos ? text.size() : frames);
  while (!message.empty() && std::isspace(static_cast<unsigned char>(message.back()))) message.pop_back();
  return message;
}

void rethrow(napi_env env, const std::string& operatorName, const std::string& shapes) {
  try {
    throw;
  } catch (const Misuse& error) {
    throwError(env, "MISUSE", error.what(), operatorName, shapes);
  } catch (const c10::OutOfMemoryError& error) {
    throwError(env, "OUT_OF_MEMORY", firstParagraph(error.what_without_backtrace()), operatorName, shapes);
  } catch (const std::bad_alloc&) {
    throwError(env, "OUT_OF_MEMORY", "the machine has no memory left", operatorName, shapes);
  } catch (const c10::Error& error) {
    const std::string message = firstParagraph(error.what_without_backtrace());
    const bool memory = message.find("DefaultCPUAllocator") != std::string::npos || message.find("out of memory") != std::string::npos;
    throwError(env, memory ? "OUT_OF_MEMORY" : "ATEN", message, operatorName, shapes);
  } catch (const std::exception& error) {
    throwError(env, "ATEN", firstParagraph(error.what()), operatorName, shapes);
  }
}

}  // namespace search_r1
