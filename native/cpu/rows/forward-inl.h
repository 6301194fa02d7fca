// Sum of exponentials of a column segment, in one pass over memory.
//
// The exponentials are taken against a running reference: the maximum of the segment's first block. Only when a later
// block rises above it by more than 2^kRedoAbove is the sum rescaled and that block (still in L1) done again. The
// largest element never enters the sum: each lane adds the loser of (its maximum so far, the next element), and the
// losers among the lanes' maxima are added at the end. So sum = (1 - p) / p keeps all its digits where p -> 1, and with
// it log p(argmax) = -log1p(sum).
#pragma once
#include "columns-inl.h"
#include "exp2-inl.h"

namespace turnwise::cpu::TURNWISE_SIMD {

constexpr float kMinusInfinity = -HUGE_VALF;

/// Far above 2^51 it returns something else, which nobody takes.
TURNWISE_INLINE double nearestInteger(double x) {
  return (x + 0x1.8p52) - 0x1.8p52;
}

/// Exponentials are 2^((z - base) * perUnit - shift); `origin` is the logit from which the spread is measured.
struct Reference {
  Reference(float z, const RowScale& scale) : origin(z) {
    const double k = F32::kFused ? static_cast<double>(scale.k) : scale.perUnit;
    const double rounded = nearestInteger(z * k);
    shifted = !(F32::kFused && rounded > -kLargestShift && rounded < kLargestShift);
    base = shifted ? z : 0.0f;
    shift = shifted ? 0.0 : rounded;
    limit = static_cast<float>(base + (shift + kRedoAbove) / k);
    exp2.base = broadcast(base);
    exp2.k = broadcast(scale.k);
    exp2.magic = broadcast(static_cast<float>(kMagic + kExponentBias - shift));
    exp2.floor = broadcast(static_cast<float>((shift - kExponentBias) / k));
    exp2.stepHigh = broadcast(scale.stepHigh);
    exp2.stepLow = broadcast(scale.stepLow);
    for (int i = 0; i < 6; ++i) exp2.coefficient[i] = broadcast(static_cast<float>(kExp2[i]));
  }

  float origin, base, limit;
  double shift;
  bool shifted;
  Exp2 exp2;
};

struct Lanes {
  F32 max[kVectors];

  TURNWISE_INLINE Lanes() {
    for (size_t u = 0; u < kVectors; ++u) max[u] = broadcast(kMinusInfinity);
  }
  TURNWISE_INLINE F32 overall() const {
    F32 top = max[0];
    for (size_t u = 1; u < kVectors; ++u) top = TURNWISE_SIMD::max(top, max[u]);
    return top;
  }
};

struct Sums {
  F64Sum sum, weighted;

  TURNWISE_INLINE Sums() {}
};

/// f32 sums of a run of columns: e = exp(...), and e * (z - origin) where entropy is wanted.
template <bool kEntropy, bool kShifted>
struct RunSum {
  F32 sum[kVectors], weighted[kVectors];
  F32 origin;

  TURNWISE_INLINE explicit RunSum(const Reference& reference) : origin(broadcast(reference.origin)) {
    for (size_t u = 0; u < kVectors; ++u) sum[u] = weighted[u] = broadcast(0.0f);
  }

  TURNWISE_INLINE void add(F32 z, const Exp2& exp2, size_t u) {
    F32 x, mantissa, scale;
    exp2Parts<kShifted, true>(z, exp2, x, mantissa, scale);
    if constexpr (kEntropy) {
      const F32 e = mul(mantissa, scale);
      sum[u] = TURNWISE_SIMD::add(sum[u], e);
      weighted[u] = mulAdd(e, kShifted ? x : sub(x, origin), weighted[u]);
    } else {
      sum[u] = mulAdd(mantissa, scale, sum[u]);  // the product is exact: a power of two
    }
  }

  /// Operand order: where z is NaN both max and min return it; the loser, and so the sum, is NaN from then on.
  TURNWISE_INLINE void addLoser(F32 z, Lanes& lanes, const Exp2& exp2, size_t u) {
    const F32 loser = min(lanes.max[u], z);
    lanes.max[u] = max(lanes.max[u], z);
    add(loser, exp2, u);
  }

  TURNWISE_INLINE void into(Sums& sums) const {
    F32 s = sum[0], w = weighted[0];
    for (size_t u = 1; u < kVectors; ++u) {
      s = TURNWISE_SIMD::add(s, sum[u]);
      w = TURNWISE_SIMD::add(w, weighted[u]);
    }
    sums.sum.add(s);
    if constexpr (kEntropy) sums.weighted.add(w);
  }
};

template <DType D>
TURNWISE_NOINLINE float largest(const unsigned char* columns, size_t count) {
  Lanes lanes;
  forEachPair<D>(columns, count, [&](F32 a, F32 b, size_t u) {
    lanes.max[u] = max(lanes.max[u], a);
    lanes.max[u + 1] = max(lanes.max[u + 1], b);
  });
  return horizontalMax(lanes.overall());
}

template <DType D, bool kEntropy, bool kShifted>
TURNWISE_NOINLINE void sumBlock(const unsigned char* block, size_t count, const Reference& reference, Lanes& state,
                                Sums& sums) {
  Lanes lanes = state;
  const Exp2 exp2 = reference.exp2;
  constexpr size_t kRun = kAdditions * kVectors * F32::kLanes;
  for (size_t begin = 0; begin < count; begin += kRun) {
    RunSum<kEntropy, kShifted> sum(reference);
    const size_t n = count - begin < kRun ? count - begin : kRun;
    forEachPair<D>(block + begin * kElementSize<D>, n, [&](F32 a, F32 b, size_t u) {
      sum.addLoser(a, lanes, exp2, u);
      sum.addLoser(b, lanes, exp2, u + 1);
    });
    sum.into(sums);
  }
  state = lanes;
}

/// Adds the lanes' maxima but the largest, which is returned.
template <bool kEntropy, bool kShifted>
TURNWISE_NOINLINE float mergeLanes(const Reference& reference, const Lanes& lanes, Sums& sums) {
  RunSum<kEntropy, kShifted> sum(reference);
  F32 top = lanes.max[0];
  for (size_t u = 1; u < kVectors; ++u) {
    sum.add(min(top, lanes.max[u]), reference.exp2, u);
    top = max(top, lanes.max[u]);
  }
  float values[F32::kLanes];
  store(values, top);
  size_t winner = 0;
  for (size_t i = 1; i < F32::kLanes; ++i) winner = values[i] > values[winner] ? i : winner;
  const float max = values[winner];
  values[winner] = kMinusInfinity;
  sum.add(load(values), reference.exp2, 0);
  sum.into(sums);
  return max;
}

template <DType D, bool kEntropy>
SegmentSum forwardSegment(const unsigned char* columns, size_t count, const RowScale& scale) {
  constexpr SegmentSum kBad{HUGE_VAL, NAN, NAN};
  const double k = F32::kFused ? static_cast<double>(scale.k) : scale.perUnit;
  Lanes lanes;
  Sums sums;
  Reference reference(0.0f, scale);
  bool known = false;  // whether a block had anything above -inf
  const auto add = [&](const unsigned char* block, size_t n) {
    (reference.shifted ? sumBlock<D, kEntropy, true> : sumBlock<D, kEntropy, !F32::kFused>)(block, n, reference, lanes,
                                                                                            sums);
  };

  for (size_t begin = 0; begin < count; begin += kBlockColumns) {
    const unsigned char* block = columns + begin * kElementSize<D>;
    const size_t n = count - begin < kBlockColumns ? count - begin : kBlockColumns;
    if (!known) {
      float first = largest<D>(block, n < kProbeColumns ? n : kProbeColumns);
      if (first == kMinusInfinity) first = largest<D>(block, n);
      known = first != kMinusInfinity;
      if (known) reference = Reference(first, scale);
      if (first == -kMinusInfinity) return kBad;
    }
    const Lanes lanesBefore = lanes;
    const Sums sumsBefore = sums;
    add(block, n);
    if (anyAbove(lanes.overall(), broadcast(reference.limit))) {
      const float top = horizontalMax(lanes.overall());
      if (top == -kMinusInfinity) return kBad;
      const Reference next(top, scale);
      const double factor =
          powerOfTwo((static_cast<double>(reference.base) - next.base) * k + (reference.shift - next.shift));
      lanes = lanesBefore;
      sums = sumsBefore;
      if constexpr (kEntropy) {
        sums.weighted.addScaled(sums.sum, static_cast<double>(reference.origin) - next.origin);
        sums.weighted.scale(factor);
      }
      sums.sum.scale(factor);
      reference = next;
      add(block, n);
    }
  }

  const float max =
      (reference.shifted ? mergeLanes<kEntropy, true> : mergeLanes<kEntropy, !F32::kFused>)(reference, lanes, sums);
  const double sum = sums.sum.total();
  if (max == kMinusInfinity) return {max, sum, sum};
  if (max == -kMinusInfinity) return kBad;
  const double factor = powerOfTwo((static_cast<double>(reference.base) - max) * k + reference.shift);
  const double spread = kEntropy ? (static_cast<double>(max) - reference.origin) * sum - sums.weighted.total() : 0.0;
  return {max, sum * factor, spread * factor / scale.temperature};
}

}  // namespace turnwise::cpu::TURNWISE_SIMD
