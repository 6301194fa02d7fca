// What every SIMD header needs: forced inlining and the name of the target being compiled.
//
// A kernel file defines TURNWISE_SIMD (avx2, avx512, ...), includes its SIMD header and then the shared bodies
// (*-inl.h). All of it lives in namespace turnwise::cpu::TURNWISE_SIMD, so that no two targets can ever share a symbol:
// an inline function compiled for AVX-512 and picked by the linker for everyone would crash an older CPU.
#pragma once

#if defined(_MSC_VER) && !defined(__clang__)
#define TURNWISE_INLINE __forceinline
#define TURNWISE_NOINLINE __declspec(noinline)
#define TURNWISE_PREFETCH(p, level) (void)(p)
#else
#define TURNWISE_INLINE inline __attribute__((always_inline))
#define TURNWISE_NOINLINE __attribute__((noinline))
#define TURNWISE_PREFETCH(p, level) __builtin_prefetch(p, 0, level)
#endif
