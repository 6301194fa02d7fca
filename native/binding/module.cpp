// The add-on's entry point. What it exports is typed in lib/backend/native.ts.
//
// node-addon-api builds the exports. Where a failing status must be looked at (arguments, jobs, memory) the C interface
// is called directly: in a worker that is being terminated most calls fail, and that must end neither the job nor the
// process.
#include <napi.h>

#include "../backend.h"
#include "instance.h"
#include "memory_exports.h"
#include "op_exports.h"
#include "schema.h"
#include "settings.h"

namespace turnwise::binding {

namespace {

/// `{ cpu, cuda? }`; `*why` says why there is no cuda.
Napi::Object backends(Napi::Env env, const char** why) {
  auto result = Napi::Object::New(env);
  result.Set("cpu", backendExports(env, cpuBackend()));
  if (const Backend* cuda = cudaBackend(why)) result.Set("cuda", backendExports(env, *cuda));
  return result;
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  if (!Instance::create(env)) return exports;
  const char* why = nullptr;
  exports.Set("schema", schemaExports(env));
  exports.Set("backends", backends(env, &why));
  exports.Set("cudaUnavailable", why ? Napi::Value(Napi::String::New(env, why)) : env.Null());
  exports.Set("memory", memoryExports(env));
  addSettings(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(turnwise, initialize)

}  // namespace turnwise::binding
