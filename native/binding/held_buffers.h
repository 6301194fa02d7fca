// What keeps the arrays of an asynchronous call alive and in place until its job is done.
//
// An array in library memory, or in a device's, is held natively: it may be transferred or detached meanwhile. Any
// other array is held by a reference to the typed array, which suffices for a SharedArrayBuffer (never detached) and
// for a buffer that only the calling library can reach. A strong reference alone does NOT protect a buffer that a user
// can detach: its memory goes away under the job (use-after-free). Copying such inputs is the caller's part.
#pragma once
#include <node_api.h>

#include <vector>

#include "arguments.h"
#include "memory.h"

namespace turnwise::binding {

class HeldBuffers {
 public:
  /// Runs no JavaScript, so that the pointers just taken stay right. False: an exception is pending.
  bool hold(napi_env env, const std::vector<ArrayArgument>& arrays);
  /// On the JavaScript thread; also while the environment goes down.
  void release(napi_env env);

 private:
  std::vector<BlockRef> blocks_;
  std::vector<DeviceRef> devices_;
  std::vector<napi_ref> references_;
};

}  // namespace turnwise::binding
