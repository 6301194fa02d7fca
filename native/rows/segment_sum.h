// What a row kernel hands over: plain numbers, no functions (SIMD target regions see this file).
#pragma once

namespace turnwise {

constexpr double kLn2 = 0.6931471805599453;
constexpr double kLog2E = 1.4426950408889634;

/// A range of columns relative to its largest element.
struct SegmentSum {
  double max;     // -inf: every logit is -inf
  double sum;     // sum of exp((z - max) / T) over all columns but the one of `max`
  double spread;  // sum of (max - z) / T * exp((z - max) / T); only where entropy is wanted
};

}  // namespace turnwise
