// Run-time choice of the SIMD target.
#include "cpu_features.h"

#include <atomic>
#include <cstring>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define TURNWISE_X86_DISPATCH 1
#include <cpuid.h>
#endif

namespace turnwise::cpu {

namespace {

#if defined(TURNWISE_X86_DISPATCH)
/// By hand: clang before 19 does not know the name in __builtin_cpu_supports.
bool hasF16c() {
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

/// The tables that this CPU, and its operating system, can run. A table's function is called only once that is known:
/// its file is compiled for the target as a whole.
std::vector<const RowKernels*> findKernels() {
  std::vector<const RowKernels*> found;
  const auto add = [&](const RowKernels* kernels) {
    if (kernels) found.push_back(kernels);
  };
#if defined(TURNWISE_X86_DISPATCH)
  __builtin_cpu_init();  // may run before the constructor that would do it
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && hasF16c();
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (avx512) add(avx512Kernels());
  if (avx2) add(avx2Kernels());
#endif
  add(neonKernels());
  add(baselineKernels());
  return found;
}

const std::vector<const RowKernels*>& available() {
  static const auto* kernels =
      new std::vector<const RowKernels*>(findKernels());  // never destroyed: exit may find it in use
  return *kernels;
}

std::atomic<const RowKernels*> chosen{nullptr};

}  // namespace

const RowKernels& rowKernels() {
  const RowKernels* kernels = chosen.load(std::memory_order_relaxed);
  return kernels ? *kernels : *available().front();
}

const std::vector<const char*>& simdTargets() {
  static const auto* names = [] {
    auto* list = new std::vector<const char*>;
    for (const RowKernels* kernels : available()) list->push_back(kernels->name);
    return list;
  }();
  return *names;
}

const char* simdTarget() {
  return rowKernels().name;
}

bool setSimdTarget(const char* name) {
  for (const RowKernels* kernels : available()) {
    if (std::strcmp(kernels->name, name) != 0) continue;
    chosen.store(kernels, std::memory_order_relaxed);
    return true;
  }
  return false;
}

}  // namespace turnwise::cpu
