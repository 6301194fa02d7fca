// The double-precision libm functions that must not bind to a symbol version newer than glibc 2.28.
//
// glibc 2.29 gave exp, log, log2, exp2 and pow a new version without errno wrappers. A binary linked on a newer system
// binds to it and then fails to load on an older one ("version `GLIBC_2.29' not found"), before any code of ours can
// run. The names below are tied to each architecture's first version. Other libm functions (expm1, log1p, sqrt, fma)
// never changed theirs and are called as usual.
//
// No `using namespace turnwise` in a .cu: CUDA's headers call exp and log unqualified at the end of the file, and they
// would be ambiguous there.
#pragma once
#include <cmath>

#include "../types.h"

#if defined(__GLIBC__) && !defined(__CUDA_ARCH__)
#if defined(__x86_64__) && !defined(__ILP32__)
#define TURNWISE_LIBM_VERSION "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define TURNWISE_LIBM_VERSION "GLIBC_2.17"
#endif
#endif

namespace turnwise {

#if defined(TURNWISE_LIBM_VERSION)

// Names of their own, so that the directives catch exactly these calls whatever the compiler does with its builtins.
extern "C" double turnwiseLibmExp(double x) noexcept __attribute__((const));
extern "C" double turnwiseLibmLog(double x) noexcept __attribute__((const));
__asm__(".symver turnwiseLibmExp, exp@" TURNWISE_LIBM_VERSION);
__asm__(".symver turnwiseLibmLog, log@" TURNWISE_LIBM_VERSION);

TURNWISE_HD inline double exp(double x) {
  return turnwiseLibmExp(x);
}
TURNWISE_HD inline double log(double x) {
  return turnwiseLibmLog(x);
}

#else

TURNWISE_HD inline double exp(double x) {
  return ::exp(x);
}
TURNWISE_HD inline double log(double x) {
  return ::log(x);
}

#endif

}  // namespace turnwise
