// dLogits of a row (native/rows/row_gradient.h): constants once per row, in double; then per element one exponential
// against the row's log-sum-exp.
//
// Written by 16-byte stores straight from registers. Through shared memory and bulk stores, a chunk could only be
// refilled when its store has read it; like this it is free as soon as the threads have read it, and nobody waits.
#pragma once
#include "../../native/rows/row_gradient.h"
#include "row_storage.cuh"

namespace turnwise::cuda {

__device__ inline GradientRow gradientRow(float k, double temperature, const RowFactors& factors, uint32_t target,
                                          float logProb, double logSumExp, float entropy) {
  GradientRow row;
  row.write = Write::zeros;
  if (factors.zero()) return row;
  row.write = Write::nan;
  if (!finiteGradient(factors, logProb, logSumExp, entropy)) return row;
  row.target = target;
  row.atTarget = static_cast<float>(gradientAtTarget(factors, logProb, entropy));
  double factor = factors.logProb;
  if (factors.entropy == 0) {
    row.write = Write::softmax;
  } else {
    row.write = Write::softmaxAndEntropy;
    const EntropyPolynomial polynomial = entropyPolynomial(temperature, k, logSumExp, entropy, factors);
    row.constant = static_cast<float>(polynomial.constant / polynomial.unit);
    row.linear = polynomial.linear;
    row.quadratic = polynomial.quadratic;
    factor = polynomial.unit;
  }
  const SoftmaxExponent softmax = softmaxExponent(temperature, k, logSumExp);
  const bool shifted = !(fabs(softmax.exponent) <= Reference::kLargestShift);
  (shifted ? row.base : row.near) = softmax.near;
  const double exponent = shifted ? softmax.rest : softmax.exponent;
  row.shift = static_cast<float>(exponent);
  row.factor = static_cast<float>(factor * turnwise::exp((row.shift - exponent) * kLn2));
  row.floor = static_cast<float>(withinFloats((static_cast<double>(row.shift) + kVanishing - 1) / k));
  return row;
}

/// Elements that rounding to D made 0.
template <DType D>
__device__ unsigned countUnderflow(const float (&values)[Element<D>::kPerVector]) {
  if constexpr (D == DType::f32) return 0;
  // Of at most this magnitude; a tie goes to the even 0.
  constexpr float kUnderflow = D == DType::f16 ? 0x1p-25f : 0x1p-134f;
  float least = fabsf(values[0]);
#pragma unroll
  for (unsigned j = 1; j < Element<D>::kPerVector; ++j) least = fminf(least, fabsf(values[j]));
  if (least > kUnderflow) return 0;
  unsigned count = 0;
#pragma unroll
  for (unsigned j = 0; j < Element<D>::kPerVector; ++j) count += values[j] != 0 && fabsf(values[j]) <= kUnderflow;
  return count;
}

/// The gradient of one vector, whose first element is in column `first`; `elements` of it belong to the row.
template <DType D, bool kEntropy>
__device__ uint4 gradientVector(const GradientRow& row, float k, float (&logits)[Element<D>::kPerVector],
                                unsigned first, unsigned& underflowed) {
#pragma unroll
  for (float& z : logits) {
    if constexpr (kEntropy) {
      const float fromBase = z - row.base;
      const float kept = fromBase < row.floor ? row.floor : fromBase;  // a NaN stays
      const float x = kept - row.near;
      const float polynomial = fmaf(x, fmaf(x, row.quadratic, row.linear), row.constant);
      z = exp2Approx(fmaf(kept, k, -row.shift)) * (row.factor * polynomial);
    } else {
      z = row.factor * exp2Approx(fmaf(z - row.base, k, -row.shift));
    }
  }
  const unsigned offset = row.target - first;
  if (offset < Element<D>::kPerVector) {
#pragma unroll
    for (unsigned j = 0; j < Element<D>::kPerVector; ++j) {
      if (j == offset) logits[j] = row.atTarget;
    }
  }
  underflowed += countUnderflow<D>(logits);
  return Element<D>::pack(logits);
}

template <DType D>
__device__ void fillSlice(unsigned char* out, const Slice& slice, float value) {
  float x[Element<D>::kPerVector];
  for (float& z : x) z = value;
  const uint4 vector = Element<D>::pack(x);
  for (unsigned v = threadIdx.x; v < slice.vectors<D>(); v += blockDim.x)
    storeVector<D>(out + size_t{v} * kVectorBytes, vector, slice.elements<D>(v));
}

/// Writes the slice at `out`. `read(visit)` calls visit(x, v) for the thread's vectors; false where it was not needed.
template <DType D, bool kEntropy, class Read>
__device__ bool writeSlice(const GradientRow& row, float k, const Slice& slice, unsigned char* out,
                           unsigned& underflowed, const Read& read) {
  const auto softmax = [&](auto withEntropy) {
    read([&](float(&x)[Element<D>::kPerVector], unsigned v) {
      const unsigned first = slice.first + v * Element<D>::kPerVector;
      const uint4 vector = gradientVector<D, decltype(withEntropy)::value>(row, k, x, first, underflowed);
      storeVector<D>(out + size_t{v} * kVectorBytes, vector, slice.elements<D>(v));
    });
    return true;
  };
  switch (row.write) {
    case Write::softmax:
      return softmax(std::false_type());
    case Write::softmaxAndEntropy:
      if constexpr (kEntropy) return softmax(std::true_type());
      break;
    case Write::zeros:
      fillSlice<D>(out, slice, 0.0f);
      break;
    case Write::nan:
      fillSlice<D>(out, slice, NAN);
      break;
    case Write::nothing:
      break;
  }
  return false;
}

/// Adds what the block's threads counted; the last block of the kernel writes the sum. All threads.
__device__ inline void finishUnderflow(const RowParameters& p, unsigned underflowed) {
  if (!p.gradient.underflowed) return;
  const unsigned ofWarp = reduceWarp(underflowed, Plus());
  if (threadIdx.x % kWarpSize == 0) {
    if (ofWarp > 0) atomicAdd(&p.underflow->elements, static_cast<unsigned long long>(ofWarp));
    __threadfence();
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  if (atomicAdd(&p.underflow->blocksDone, 1u) + 1 < gridDim.x) return;
  __threadfence();
  p.gradient.underflowed[0] = static_cast<double>(atomicAdd(&p.underflow->elements, 0ull));
}

}  // namespace turnwise::cuda
