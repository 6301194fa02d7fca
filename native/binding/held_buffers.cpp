#include "held_buffers.h"

namespace turnwise::binding {

bool HeldBuffers::hold(napi_env env, const std::vector<ArrayArgument>& arrays) {
  blocks_.reserve(arrays.size());
  devices_.reserve(arrays.size());
  references_.reserve(arrays.size());
  for (const ArrayArgument& array : arrays) {
    if (array.device) {
      devices_.push_back(array.device);
      continue;
    }
    if (BlockRef block = findBlock(array.data, array.bytes)) {
      blocks_.push_back(std::move(block));
      continue;
    }
    napi_ref reference = nullptr;
    if (napi_create_reference(env, array.value, 1, &reference) != napi_ok) {
      release(env);
      napi_throw_error(env, nullptr, "cannot hold an array");
      return false;
    }
    references_.push_back(reference);
  }
  return true;
}

void HeldBuffers::release(napi_env env) {
  for (napi_ref reference : references_) napi_delete_reference(env, reference);
  references_.clear();
  blocks_.clear();
  devices_.clear();
}

}  // namespace turnwise::binding
