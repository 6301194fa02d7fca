// Small helpers over the C Node-API: values made for JavaScript and words about values that came from it.
#pragma once
#include <node_api.h>

#include <string>

#include "../backend.h"

namespace turnwise::binding {

napi_value null(napi_env env);
napi_value boolean(napi_env env, bool value);
napi_value number(napi_env env, double value);
napi_value text(napi_env env, const char* value);
napi_value function(napi_env env, const char* name, napi_callback callback, const void* data = nullptr);
/// The call's first argument; undefined where there is none.
napi_value firstArgument(napi_env env, napi_callback_info info);
/// `{ code, position }`. Null when the environment no longer runs JavaScript.
napi_value statusObject(napi_env env, const Status& status);

/// "null", "2.5", "\"k4\"", "Float32Array", "an object": for an error message. Runs no JavaScript.
std::string describe(napi_env env, napi_value value);
const char* typedArrayName(napi_typedarray_type type);
size_t bytesPerElement(napi_typedarray_type type);

/// False where the environment is going down and takes no exception; there is nobody left to tell then.
bool throwTypeError(napi_env env, const std::string& message);

}  // namespace turnwise::binding
