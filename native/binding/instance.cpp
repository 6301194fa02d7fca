#include "instance.h"

#include <memory>
#include <new>

namespace turnwise::binding {

namespace {

bool findObjectKeys(napi_env env, napi_ref* result) {
  napi_value global = nullptr;
  napi_value object = nullptr;
  napi_value keys = nullptr;
  return napi_get_global(env, &global) == napi_ok &&
         napi_get_named_property(env, global, "Object", &object) == napi_ok &&
         napi_get_named_property(env, object, "keys", &keys) == napi_ok &&
         napi_create_reference(env, keys, 1, result) == napi_ok;
}

void destroy(napi_env env, void* data, void*) {
  auto* instance = static_cast<Instance*>(data);
  napi_delete_reference(env, instance->objectKeys);
  delete instance;
}

}  // namespace

bool Instance::create(napi_env env) {
  auto* instance = new (std::nothrow) Instance(env);
  if (instance && findObjectKeys(env, &instance->objectKeys) &&
      napi_set_instance_data(env, instance, destroy, nullptr) == napi_ok) {
    return true;
  }
  delete instance;
  napi_throw_error(env, nullptr, "turnwise: cannot set up this environment");
  return false;
}

Instance& Instance::of(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return *static_cast<Instance*>(data);
}

}  // namespace turnwise::binding
