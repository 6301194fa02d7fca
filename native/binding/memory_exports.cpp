#include "memory_exports.h"

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include "memory.h"
#include "values.h"

namespace turnwise::binding {

namespace {

using Hold = std::weak_ptr<Block>;

/// Runs when the ArrayBuffer (wherever it was moved to) is gone. The weak pointer tells this block from a later one at
/// the same address, after `release` gave the memory back early.
void onBufferGone(napi_env, void*, void* hint) {
  std::unique_ptr<Hold> hold(static_cast<Hold*>(hint));
  if (BlockRef block = hold->lock()) dropJsHold(*block);
}

/// Hosts that cage their heap (Electron) refuse memory from outside; the variable plays such a host in a test.
bool externalBuffersForbidden() {
  const char* forced = std::getenv("TURNWISE_NO_EXTERNAL_BUFFERS");
  return forced && std::strcmp(forced, "1") == 0;
}

napi_value emptyBuffer(napi_env env) {
  napi_value buffer = nullptr;
  void* data = nullptr;
  napi_create_arraybuffer(env, 0, &data, &buffer);
  return buffer;
}

/// An ArrayBuffer over new zeroed memory; null where the host takes no such buffer, or none of this size.
napi_value wrapNewBlock(napi_env env, size_t bytes) {
  auto hold = std::make_unique<Hold>();
  BlockRef block = allocateBlock(bytes);
  *hold = block;
  napi_value buffer = nullptr;
  const napi_status status =
      napi_create_external_arraybuffer(env, block->data(), bytes, onBufferGone, hold.get(), &buffer);
  if (status == napi_ok) {
    hold.release();
    return buffer;
  }
  dropJsHold(*block);
  // Except for the plain refusal, Node may already have scheduled the finalizer (it does for a size above its limit).
  if (status != napi_no_external_buffers_allowed) hold.release();
  bool pending = false;
  napi_value ignored = nullptr;
  if (napi_is_exception_pending(env, &pending) == napi_ok && pending) napi_get_and_clear_last_exception(env, &ignored);
  return null(env);
}

napi_value allocate(napi_env env, napi_callback_info info) {
  const napi_value argument = firstArgument(env, info);
  double bytes = 0;
  if (napi_get_value_double(env, argument, &bytes) != napi_ok || !(bytes >= 0 && bytes <= 9007199254740991.0) ||
      bytes != std::trunc(bytes)) {
    throwTypeError(env, "memory.allocate: expected a number of bytes, received " + describe(env, argument));
    return nullptr;
  }
  if (externalBuffersForbidden()) return null(env);
  if (bytes == 0) return emptyBuffer(env);
  try {
    return wrapNewBlock(env, static_cast<size_t>(bytes));
  } catch (const std::bad_alloc&) {
    napi_throw_range_error(env, "ERR_OUT_OF_MEMORY", "memory.allocate: out of memory");
    return nullptr;
  }
}

napi_value owns(napi_env env, napi_callback_info info) {
  const napi_value view = firstArgument(env, info);
  bool is = false;
  auto kind = static_cast<napi_typedarray_type>(-1);
  size_t length = 0;
  void* data = nullptr;
  if (napi_is_typedarray(env, view, &is) != napi_ok || !is ||
      napi_get_typedarray_info(env, view, &kind, &length, &data, nullptr, nullptr) != napi_ok) {
    return boolean(env, false);
  }
  return boolean(env, data && findBlock(data, length * bytesPerElement(kind)));
}

/// Detaches the buffer and gives JavaScript's reference up. False: not (or no longer) the library's.
napi_value release(napi_env env, napi_callback_info info) {
  const napi_value buffer = firstArgument(env, info);
  bool is = false;
  void* data = nullptr;
  size_t bytes = 0;
  // Not an ArrayBuffer includes SharedArrayBuffer, which napi_get_arraybuffer_info must not see.
  if (napi_is_arraybuffer(env, buffer, &is) != napi_ok || !is ||
      napi_get_arraybuffer_info(env, buffer, &data, &bytes) != napi_ok || !data) {
    return boolean(env, false);
  }
  BlockRef block = findBlock(data, bytes);
  if (!block || napi_detach_arraybuffer(env, buffer) != napi_ok) return boolean(env, false);
  dropJsHold(*block);
  return boolean(env, true);
}

napi_value liveBytesOf(napi_env env, napi_callback_info) {
  return number(env, static_cast<double>(liveBytes()));
}

}  // namespace

Napi::Object memoryExports(Napi::Env env) {
  auto result = Napi::Object::New(env);
  result.Set("allocate", function(env, "allocate", allocate));
  result.Set("owns", function(env, "owns", owns));
  result.Set("release", function(env, "release", release));
  result.Set("liveBytes", function(env, "liveBytes", liveBytesOf));
  return result;
}

}  // namespace turnwise::binding
