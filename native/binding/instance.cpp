#include "instance.h"

#include <memory>
#include <new>

namespace turnwise::binding {

bool Instance::create(napi_env env) {
  auto* instance = new (std::nothrow) Instance(env);
  const auto destroy = [](napi_env, void* data, void*) { delete static_cast<Instance*>(data); };
  if (instance && napi_set_instance_data(env, instance, destroy, nullptr) == napi_ok) return true;
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
