// How the stages of credit assignment tell "no signal" from a value.
#pragma once
#include <limits>

namespace turnwise::cpu {

constexpr double kAbsent = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

inline bool isAbsent(double signal) {
  return signal != signal;
}

/// What stands for a signal whose arithmetic overflowed to NaN: that would read as no signal, and vanish. Infinity
/// reaches the advantages, where the caller sees it.
inline double present(double value) {
  return isAbsent(value) ? kInfinity : value;
}

inline double valueOrZero(double signal) {
  return isAbsent(signal) ? 0.0 : signal;
}

}  // namespace turnwise::cpu
