// How the stages of credit assignment tell "no signal" from a value.
#pragma once
#include <cmath>

#include "../types.h"

namespace turnwise {

constexpr double kAbsent = __builtin_nan("");
constexpr double kInfinity = HUGE_VAL;

TURNWISE_HD inline bool isAbsent(double signal) {
  return signal != signal;
}

/// What stands for a signal whose arithmetic overflowed to NaN: that would read as no signal, and vanish. Infinity
/// reaches the advantages, where the caller sees it.
TURNWISE_HD inline double present(double value) {
  return isAbsent(value) ? HUGE_VAL : value;
}

TURNWISE_HD inline double valueOrZero(double signal) {
  return isAbsent(signal) ? 0.0 : signal;
}

}  // namespace turnwise
