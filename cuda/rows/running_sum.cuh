// Sum of exponentials of the columns that one thread is given, and of what threads, warps and blocks found: one read,
// whatever order the large logits come in.
//
// The largest logit never enters a sum: of it and the next one the loser is added. So sum = (1 - p) / p keeps its
// digits where p -> 1, and with it log p(argmax) = -log1p(sum).
//
// Exponentials are 2^(k z - shift), k = log2(e) / T, against a reference that follows the largest logit, or the largest
// loser where that is far below it. `shift` is an integer: fma(z, k, -shift) is rounded once, at its own size, and sums
// against different references are brought together by exact scaling. So a sum's terms are as accurate where the
// largest logit stands far above them as where it does not, and threads, warps and blocks are merged by one function,
// mergeLanes, without an exponential in double.
#pragma once
#include "../../native/rows/segment_sum.h"
#include "../device/crew.cuh"
#include "element.cuh"

namespace turnwise::cuda {

/// Exponentials are 2^((z - base) * k - shift).
struct Reference {
  /// Integers below this leave the fraction of k z - shift all the bits that it can use.
  static constexpr float kLargestShift = 4e6f;

  float base = 0, shift = 0;

  Reference() = default;
  __device__ Reference(float largest, float k) {
    const float rounded = rintf(largest * k);
    if (fabsf(rounded) <= kLargestShift) {
      shift = rounded;
    } else if (fabsf(largest) < HUGE_VALF) {
      base = largest;  // logits so far apart, in units of T, that z - base loses nothing that could be seen
    }
  }

  __device__ float exponentOf(float z, float k) const { return fmaf(z - base, k, -shift); }
  /// The power of two by which exponentials against `other` are smaller.
  __device__ double distanceTo(const Reference& other, float k) const {
    return (static_cast<double>(base) - other.base) * k + (static_cast<double>(shift) - other.shift);
  }
};

/// 2^x; exact where x is an integer, as it is between references without a base.
__device__ inline double powerOfTwo(double x) {
  const double whole = rint(x);
  if (whole < -1100) return 0;
  const double power = ldexp(1.0, static_cast<int>(whole));
  return x == whole ? power : power * exp2(x - whole);
}

/// Exponents from here on give 0, and their product with 0 is not NaN.
constexpr float kVanishing = -127.0f;

/// What is known of some columns, as it lies in shared memory.
struct Partial {
  double sum = 0;     // against Reference(max, k), all but the one of max
  double spread = 0;  // sum of exponent * exponential, likewise
  float max = -HUGE_VALF;

  /// From one reference to another.
  __device__ void moveTo(const Reference& to, const Reference& from, float k) {
    const double distance = from.distanceTo(to, k);
    const double scale = powerOfTwo(distance);
    spread = (spread + sum * distance) * scale;
    sum *= scale;
  }

  /// Relative to max itself, in natural units. A max of +inf has no sum.
  __device__ SegmentSum relative(float k, double temperature) const {
    if (max == HUGE_VALF) return {max, NAN, NAN};
    if (max == -HUGE_VALF) return {max, sum, sum};
    const Reference reference(max, k);
    const double rest = reference.shift - (static_cast<double>(max) - reference.base) * k;
    const double scale = powerOfTwo(rest);
    return {max, sum * scale, -(spread + sum * rest) * scale / (k * temperature)};
  }
};

__device__ inline Partial mergeLanes(Partial mine, const Reference& ofMine, float k, bool withSpread) {
  const float largest = reduceWarp(mine.max, [](float a, float b) { return fmaxf(a, b); });
  const unsigned holders = __ballot_sync(kAllLanes, mine.max == largest);
  const unsigned lane = threadIdx.x % kWarpSize;
  const bool winner = (holders & ((2u << lane) - 1)) == 1u << lane;
  const Reference common(largest, k);
  if (mine.sum != 0) mine.moveTo(common, ofMine, k);
  if (!winner && mine.max != -HUGE_VALF) {
    const Reference own(mine.max, k);
    const float exponent = own.exponentOf(mine.max, k);
    Partial loser{exp2Approx(exponent)};
    loser.spread = loser.sum * exponent;
    loser.moveTo(common, own, k);
    mine.sum += loser.sum;
    mine.spread += loser.spread;
  }
  mine.sum = reduceWarp(mine.sum, Plus());
  if (withSpread) mine.spread = reduceWarp(mine.spread, Plus());
  mine.max = largest;
  return mine;
}

/// One thread's columns.
template <DType D, bool kSpread>
class RunningSum {
 public:
  __device__ explicit RunningSum(float k) : k_(k) {}

  __device__ void add(float (&x)[Element<D>::kPerVector]) {
#pragma unroll
    for (float& z : x) {
      const float larger = fmaxf(max_, z);
      z = minNan(max_, z);  // a NaN is the loser: it enters the sum, and stays
      max_ = larger;
    }
    if (max_ > limit_) follow(x);
    if (reference_.base != 0) {
#pragma unroll
      for (float& z : x) z -= reference_.base;
    }
#pragma unroll
    for (unsigned j = 0; j < Element<D>::kPerVector; ++j) {
      const float exponent = fmaf(x[j], k_, -reference_.shift);
      const float e = exp2Approx(exponent);
      recent_[j % kRecent] += e;
      if constexpr (kSpread)
        recentSpread_[j % kRecent] = fmaf(e, fmaxf(exponent, kVanishing), recentSpread_[j % kRecent]);
    }
    if (++added_ == kVectorsPerFlush) flush();
  }

  /// All columns of the warp's threads.
  __device__ Partial merged() {
    flush();
    sums_.max = max_;
    return mergeLanes(sums_, reference_, k_, kSpread);
  }

 private:
  static constexpr unsigned kRecent = 4;  // f32 sums
  /// Equal terms round the same way each time: 16 of them cost 1e-7 at most.
  static constexpr unsigned kAdditions = 16;
  static constexpr unsigned kVectorsPerFlush = kAdditions * kRecent / Element<D>::kPerVector;
  /// Powers of two that a loser may be above the reference. Exponents are rounded to 2^-22 there.
  static constexpr float kFollowAbove = 8;
  /// From here on the largest logit is no reference for the others.
  static constexpr float kAlone = 16;

  __device__ void flush() {
    sums_.sum += (recent_[0] + recent_[1]) + (recent_[2] + recent_[3]);
    if constexpr (kSpread)
      sums_.spread += (recentSpread_[0] + recentSpread_[1]) + (recentSpread_[2] + recentSpread_[3]);
#pragma unroll
    for (unsigned j = 0; j < kRecent; ++j) recent_[j] = recentSpread_[j] = 0;
    added_ = 0;
  }

  /// `losers`: of the vector that has the largest logit, and so all that are of its size; or of a later vector, where
  /// the reference is not that logit.
  __device__ void follow(const float (&losers)[Element<D>::kPerVector]) {
    float top = losers[0];
#pragma unroll
    for (const float z : losers) top = fmaxf(top, z);
    const bool alone = (max_ - top) * k_ > kAlone;
    if (alone && !(top > limit_)) return;
    flush();
    const Reference next(alone ? top : max_, k_);
    if (sums_.sum != 0) sums_.moveTo(next, reference_, k_);
    reference_ = next;
    limit_ = next.base + (next.shift + kFollowAbove) / k_;
  }

  const float k_;
  float max_ = -HUGE_VALF, limit_ = -HUGE_VALF;
  Reference reference_;
  float recent_[kRecent] = {}, recentSpread_[kRecent] = {};
  unsigned added_ = 0;  // vectors in them
  Partial sums_;        // against reference_
};

}  // namespace turnwise::cuda
