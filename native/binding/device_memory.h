// Memory of a device behind library tensors: counted natively, so that a tensor may be disposed of or forgotten while a
// job works on it, and handed to JavaScript as an opaque object.
#pragma once
#include <node_api.h>

#include <cstddef>
#include <memory>

#include "../backend.h"

namespace turnwise::binding {

class DeviceBlock {
 public:
  /// Takes `data` over; or, where it belongs to somebody else, refers to it.
  DeviceBlock(const DeviceMemory& memory, void* data, size_t bytes, bool owned)
      : memory_(memory), data_(data), bytes_(bytes), owned_(owned) {}
  ~DeviceBlock() {
    if (owned_) memory_.release(data_);
  }
  DeviceBlock(const DeviceBlock&) = delete;
  DeviceBlock& operator=(const DeviceBlock&) = delete;

  const DeviceMemory& memory() const { return memory_; }
  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  const DeviceMemory& memory_;
  void* data_;
  size_t bytes_;
  bool owned_;
};
using DeviceRef = std::shared_ptr<DeviceBlock>;

/// A JavaScript object that holds the block until it is released or collected. Null: an exception is pending.
napi_value wrapDeviceBlock(napi_env env, DeviceRef block);
/// The block of such an object; null for any other value, and after releaseDeviceBlock.
DeviceRef deviceBlockOf(napi_env env, napi_value value);
/// Whether `value` is such an object, released or not.
bool isDeviceBlock(napi_env env, napi_value value);
/// Gives JavaScript's reference up; more than once is harmless.
void releaseDeviceBlock(napi_env env, napi_value value);

}  // namespace turnwise::binding
