#include "device_memory.h"

#include <new>

namespace turnwise::binding {

namespace {

/// Tells our objects from any other that native code has wrapped something in.
constexpr napi_type_tag kDeviceBlockTag = {0x7d3a5c1e9b604f28, 0xa1c4e87750d2936b};

void onCollected(napi_env, void* hold, void*) {
  delete static_cast<DeviceRef*>(hold);
}

DeviceRef* holdOf(napi_env env, napi_value value) {
  void* hold = nullptr;
  if (!isDeviceBlock(env, value) || napi_unwrap(env, value, &hold) != napi_ok) return nullptr;
  return static_cast<DeviceRef*>(hold);
}

}  // namespace

napi_value wrapDeviceBlock(napi_env env, DeviceRef block) {
  napi_value object = nullptr;
  auto hold = std::make_unique<DeviceRef>(std::move(block));
  if (napi_create_object(env, &object) != napi_ok || napi_type_tag_object(env, object, &kDeviceBlockTag) != napi_ok ||
      napi_wrap(env, object, hold.get(), onCollected, nullptr, nullptr) != napi_ok) {
    napi_throw_error(env, nullptr, "cannot make an object for device memory");
    return nullptr;
  }
  hold.release();
  return object;
}

bool isDeviceBlock(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  bool is = false;
  return napi_typeof(env, value, &type) == napi_ok && type == napi_object &&
         napi_check_object_type_tag(env, value, &kDeviceBlockTag, &is) == napi_ok && is;
}

DeviceRef deviceBlockOf(napi_env env, napi_value value) {
  DeviceRef* const hold = holdOf(env, value);
  return hold ? *hold : nullptr;
}

void releaseDeviceBlock(napi_env env, napi_value value) {
  if (DeviceRef* const hold = holdOf(env, value)) hold->reset();
}

}  // namespace turnwise::binding
