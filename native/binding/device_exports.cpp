#include "device_exports.h"

#include <cstring>
#include <memory>
#include <new>

#include "device_memory.h"
#include "held_buffers.h"
#include "instance.h"
#include "values.h"

namespace turnwise::binding {

namespace {

constexpr size_t kMaxArguments = 2;
constexpr double kMaxSafeInteger = 9007199254740991.0;

struct Call {
  napi_value arguments[kMaxArguments] = {};
  const DeviceMemory* memory = nullptr;
  Call(napi_env env, napi_callback_info info) {
    size_t count = kMaxArguments;
    void* data = nullptr;
    napi_get_cb_info(env, info, &count, arguments, nullptr, &data);
    memory = static_cast<const DeviceMemory*>(data);
  }
};

napi_value outOfMemory(napi_env env) {
  napi_throw_error(env, "ERR_OUT_OF_MEMORY", "device memory: out of memory");
  return nullptr;
}

bool readBytes(napi_env env, napi_value value, size_t& bytes) {
  double number = 0;
  if (napi_get_value_double(env, value, &number) == napi_ok && number >= 0 && number <= kMaxSafeInteger &&
      number == static_cast<double>(static_cast<uint64_t>(number))) {
    bytes = static_cast<size_t>(number);
    return true;
  }
  throwTypeError(env, "device memory: expected a number of bytes, received " + describe(env, value));
  return false;
}

/// `{ block, code, position }`, without a block where there was no memory.
napi_value allocate(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  size_t bytes = 0;
  if (!readBytes(env, call.arguments[0], bytes)) return nullptr;
  void* data = nullptr;
  bool zeroed = false;
  if (napi_get_value_bool(env, call.arguments[1], &zeroed) != napi_ok) {
    throwTypeError(env, "device memory: expected a boolean, received " + describe(env, call.arguments[1]));
    return nullptr;
  }
  const Status status = call.memory->allocate(bytes, zeroed, &data);
  napi_value result = statusObject(env, status);
  if (!result || !status) return result;
  DeviceRef owner;
  try {
    owner = std::make_shared<DeviceBlock>(*call.memory, data, bytes, true);
  } catch (const std::bad_alloc&) {
    call.memory->release(data);
    return outOfMemory(env);
  }
  try {
    const napi_value block = wrapDeviceBlock(env, std::move(owner));
    if (!block || napi_set_named_property(env, result, "block", block) != napi_ok) return nullptr;
    return result;
  } catch (const std::bad_alloc&) {
    return outOfMemory(env);
  }
}

napi_value refer(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  uint64_t address = 0;
  bool lossless = false;
  size_t bytes = 0;
  if (napi_get_value_bigint_uint64(env, call.arguments[0], &address, &lossless) != napi_ok) {
    throwTypeError(env, "device memory: expected an address, received " + describe(env, call.arguments[0]));
    return nullptr;
  }
  if (!readBytes(env, call.arguments[1], bytes)) return nullptr;
  auto* const data = reinterpret_cast<void*>(static_cast<uintptr_t>(address));
  if (!lossless || !data || !call.memory->isDevice(data, bytes)) return null(env);
  try {
    return wrapDeviceBlock(env, std::make_shared<DeviceBlock>(*call.memory, data, bytes, false));
  } catch (const std::bad_alloc&) {
    return outOfMemory(env);
  }
}

napi_value release(napi_env env, napi_callback_info info) {
  releaseDeviceBlock(env, Call(env, info).arguments[0]);
  return nullptr;
}

using Copy = Status (*)(const DeviceMemory& memory, void* device, void* host, size_t bytes);

Status copyToDevice(const DeviceMemory& memory, void* device, void* host, size_t bytes) {
  return memory.toDevice(device, host, bytes);
}

Status copyToHost(const DeviceMemory& memory, void* device, void* host, size_t bytes) {
  return memory.toHost(host, device, bytes);
}

/// Both ends of a copy: a whole block, and a typed array of as many bytes.
struct Ends {
  DeviceRef block;
  ArrayArgument host;
};

bool readEnds(napi_env env, const Call& call, Ends& ends) {
  ends.block = deviceBlockOf(env, call.arguments[0]);
  ends.host.value = call.arguments[1];
  auto kind = static_cast<napi_typedarray_type>(-1);
  size_t length = 0;
  bool is = false;
  if (!ends.block || napi_is_typedarray(env, ends.host.value, &is) != napi_ok || !is ||
      napi_get_typedarray_info(env, ends.host.value, &kind, &length, &ends.host.data, nullptr, nullptr) != napi_ok) {
    return throwTypeError(env, "device memory: expected a live block and a typed array") && false;
  }
  ends.host.bytes = length * bytesPerElement(kind);
  if (ends.host.bytes == ends.block->bytes()) return true;
  return throwTypeError(env, "device memory: expected a typed array of " + std::to_string(ends.block->bytes()) +
                                 " bytes, received one of " + std::to_string(ends.host.bytes)) &&
         false;
}

template <Copy copy>
napi_value copySync(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  Ends ends;
  if (!readEnds(env, call, ends)) return nullptr;
  return statusObject(env, copy(*call.memory, ends.block->data(), ends.host.data, ends.host.bytes));
}

class CopyJob final : public Job {
 public:
  CopyJob(Copy copy, const Ends& ends) : copy_(copy), ends_(ends) { abort = &neverAborted_; }
  Outcome run(Context&) override {
    return {copy_(ends_.block->memory(), ends_.block->data(), ends_.host.data, ends_.host.bytes), {}};
  }
  const Ends& ends() const { return ends_; }

 private:
  Copy copy_;
  Ends ends_;
  std::atomic<int32_t> neverAborted_{0};
};

template <Copy copy>
napi_value copyAsync(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  Ends ends;
  if (!readEnds(env, call, ends)) return nullptr;
  try {
    auto job = std::make_unique<CopyJob>(copy, ends);
    if (!job->buffers.hold(env, {job->ends().host})) return nullptr;
    return Instance::of(env).jobs.submit(std::move(job));
  } catch (const std::bad_alloc&) {
    return outOfMemory(env);
  }
}

napi_value errorName(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  int64_t code = 0;
  napi_get_value_int64(env, call.arguments[0], &code);
  return text(env, call.memory->errorName(code));
}

napi_value deviceName(napi_env env, napi_callback_info info) {
  return text(env, Call(env, info).memory->deviceName());
}

/// `{ free, total, code, position }`
napi_value space(napi_env env, napi_callback_info info) {
  size_t free = 0, total = 0;
  const Status status = Call(env, info).memory->space(&free, &total);
  napi_value result = statusObject(env, status);
  if (!result) return nullptr;
  napi_set_named_property(env, result, "free", number(env, static_cast<double>(free)));
  napi_set_named_property(env, result, "total", number(env, static_cast<double>(total)));
  return result;
}

}  // namespace

Napi::Object deviceExports(Napi::Env env, const DeviceMemory& memory) {
  auto result = Napi::Object::New(env);
  const auto add = [&](const char* name, napi_callback callback) {
    result.Set(name, function(env, name, callback, &memory));
  };
  add("allocate", allocate);
  add("refer", refer);
  add("release", release);
  add("toDevice", copySync<copyToDevice>);
  add("toHost", copySync<copyToHost>);
  add("toDeviceAsync", copyAsync<copyToDevice>);
  add("toHostAsync", copyAsync<copyToHost>);
  add("errorName", errorName);
  add("deviceName", deviceName);
  add("space", space);
  return result;
}

}  // namespace turnwise::binding
