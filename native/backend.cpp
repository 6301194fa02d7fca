// The backend tables, and the answer of a build without CUDA.
#include "backend.h"

namespace turnwise {

const Backend& cpuBackend() {
#define TURNWISE_CPU_SLOT(Record, name) cpu::name,
  static constexpr Backend backend{"cpu", TURNWISE_OPS(TURNWISE_CPU_SLOT)};
#undef TURNWISE_CPU_SLOT
  return backend;
}

#if !defined(TURNWISE_CUDA)  // CMake's WITH_CUDA defines it and links cuda/, which has its own answer
const Backend* cudaBackend(const char** why) {
  *why = "this binary was built without CUDA";
  return nullptr;
}
#endif

}  // namespace turnwise
