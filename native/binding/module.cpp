// The add-on's entry point. What it exports is typed in lib/backend/native.ts.
//
// node-addon-api builds the exports. Where a failing status must be looked at (arguments, jobs, memory) the C interface
// is called directly: in a worker that is being terminated most calls fail, and that must end neither the job nor the
// process.
#include <napi.h>

#include "../backend.h"
#include "device_exports.h"
#include "instance.h"
#include "memory_exports.h"
#include "op_exports.h"
#include "schema.h"
#include "settings.h"
#include "values.h"

namespace turnwise::binding {

namespace {

/// cuda(): { ops, async, memory }, or the sentence that says why there is no CUDA. Not before it is called for: the
/// first look for a device loads the driver.
napi_value cuda(napi_env env, napi_callback_info) {
  const char* why = nullptr;
  const Backend* const backend = cudaBackend(&why);
  if (!backend) return text(env, why);
  Napi::Object result = backendExports(env, *backend);
  result.Set("memory", deviceExports(env, *backend->memory));
  return result;
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  if (!Instance::create(env)) return exports;
  exports.Set("schema", schemaExports(env));
  auto backends = Napi::Object::New(env);
  backends.Set("cpu", backendExports(env, cpuBackend()));
  exports.Set("backends", backends);
  exports.Set("cuda", function(env, "cuda", cuda));
  exports.Set("memory", memoryExports(env));
  addSettings(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(turnwise, initialize)

}  // namespace turnwise::binding
