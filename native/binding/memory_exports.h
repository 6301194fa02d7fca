// memory.h for JavaScript.
//   allocate(bytes): ArrayBuffer | null    zeroed; null where the host forbids such buffers, or of this size: use
//   another kind owns(typedArray): boolean              whether all of it lies in library memory release(arrayBuffer):
//   boolean          detaches it and gives the memory back now; false: not (or no longer) the library's liveBytes():
//   number                    of all blocks in the process
#pragma once
#include <napi.h>

namespace turnwise::binding {

Napi::Object memoryExports(Napi::Env env);

}  // namespace turnwise::binding
