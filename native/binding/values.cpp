#include "values.h"

#include <cstdio>
#include <iterator>

namespace turnwise::binding {

namespace {

/// By napi_typedarray_type.
constexpr struct {
  const char* name;
  size_t bytes;
} kTypedArrays[] = {{"Int8Array", 1},    {"Uint8Array", 1},    {"Uint8ClampedArray", 1}, {"Int16Array", 2},
                    {"Uint16Array", 2},  {"Int32Array", 4},    {"Uint32Array", 4},       {"Float32Array", 4},
                    {"Float64Array", 8}, {"BigInt64Array", 8}, {"BigUint64Array", 8}};

std::string describeNumber(napi_env env, napi_value value) {
  double number = 0;
  napi_get_value_double(env, value, &number);
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.17g", number);
  return buffer;
}

std::string describeString(napi_env env, napi_value value) {
  char buffer[48] = "";
  size_t length = 0;
  napi_get_value_string_utf8(env, value, buffer, sizeof buffer, &length);
  return std::string("\"") + buffer + (length + 1 == sizeof buffer ? "...\"" : "\"");
}

std::string describeObject(napi_env env, napi_value value) {
  bool is = false;
  if (napi_is_typedarray(env, value, &is) == napi_ok && is) {
    auto type = static_cast<napi_typedarray_type>(-1);
    napi_get_typedarray_info(env, value, &type, nullptr, nullptr, nullptr, nullptr);
    return typedArrayName(type);
  }
  if (napi_is_array(env, value, &is) == napi_ok && is) return "an array";
  if (napi_is_arraybuffer(env, value, &is) == napi_ok && is) return "ArrayBuffer";
  return "an object";
}

}  // namespace

napi_value null(napi_env env) {
  napi_value result = nullptr;
  napi_get_null(env, &result);
  return result;
}

napi_value boolean(napi_env env, bool value) {
  napi_value result = nullptr;
  napi_get_boolean(env, value, &result);
  return result;
}

napi_value number(napi_env env, double value) {
  napi_value result = nullptr;
  napi_create_double(env, value, &result);
  return result;
}

napi_value text(napi_env env, const char* value) {
  napi_value result = nullptr;
  napi_create_string_utf8(env, value, NAPI_AUTO_LENGTH, &result);
  return result;
}

napi_value function(napi_env env, const char* name, napi_callback callback, const void* data) {
  napi_value result = nullptr;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, const_cast<void*>(data), &result);
  return result;
}

napi_value firstArgument(napi_env env, napi_callback_info info) {
  napi_value argument = nullptr;
  size_t count = 1;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  return argument;
}

napi_value statusObject(napi_env env, const Status& status) {
  napi_value result = nullptr;
  if (napi_create_object(env, &result) != napi_ok) return nullptr;
  const char* code = EnumNames<StatusCode>::names[static_cast<size_t>(status.code)];
  if (napi_set_named_property(env, result, "code", text(env, code)) != napi_ok) return nullptr;
  if (napi_set_named_property(env, result, "position", number(env, static_cast<double>(status.position))) != napi_ok) {
    return nullptr;
  }
  return result;
}

std::string describe(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  napi_typeof(env, value, &type);
  switch (type) {
    case napi_undefined:
      return "undefined";
    case napi_null:
      return "null";
    case napi_boolean:
      return "a boolean";
    case napi_number:
      return describeNumber(env, value);
    case napi_string:
      return describeString(env, value);
    case napi_symbol:
      return "a symbol";
    case napi_object:
      return describeObject(env, value);
    case napi_function:
      return "a function";
    case napi_external:
      return "an external";
    case napi_bigint:
      return "a bigint";
  }
  return "an unknown value";
}

const char* typedArrayName(napi_typedarray_type type) {
  const auto index = static_cast<size_t>(type);
  return index < std::size(kTypedArrays) ? kTypedArrays[index].name : "another typed array";
}

size_t bytesPerElement(napi_typedarray_type type) {
  const auto index = static_cast<size_t>(type);
  return index < std::size(kTypedArrays) ? kTypedArrays[index].bytes : 0;
}

bool throwTypeError(napi_env env, const std::string& message) {
  return napi_throw_type_error(env, nullptr, message.c_str()) == napi_ok;
}

}  // namespace turnwise::binding
