// Process-wide settings of the CPU backend, shared by every environment.
//   getThreads(): number        setThreads(count)          threads of the library's pool; results do not depend on it
//   simdTarget(): string        setSimdTarget(name)        the instruction set in use
//   simdTargets(): string[]                                those this machine and build have, best first
#pragma once
#include <napi.h>

namespace turnwise::binding {

void addSettings(Napi::Env env, Napi::Object exports);

}  // namespace turnwise::binding
