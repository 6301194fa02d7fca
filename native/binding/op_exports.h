// The ops of a backend as JavaScript functions: `{ ops, async }`, one function per line of TURNWISE_OPS in each.
//   ops.name(args): { code, position }
//   async.name(args, abort: Int32Array): Promise<{ code, position }>
#pragma once
#include <napi.h>

#include "../backend.h"

namespace turnwise::binding {

Napi::Object backendExports(Napi::Env env, const Backend& backend);

}  // namespace turnwise::binding
