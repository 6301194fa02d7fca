// The kernel of rows: log-sum-exp, log-prob and entropy, and where it is wanted the gradient from the row while it is
// on chip. One cluster, or one block, works on a row; all of them walk through the list of rows.
//
// What is done with a result is a hook's business. It is constructed from its parameters by every thread, and called by
// one whole warp, with the row's number and its RowResult:
//
//   struct Hook {
//     struct Parameters;                           trivially copyable, in device memory
//     static constexpr bool kWritesGradient;
//     __device__ Hook(const Parameters*);
//     __device__ void operator()(size_t row, const RowResult&);                   without gradient
//     __device__ RowCoefficients operator()(size_t row, const RowResult&);        with gradient
//   };
//
// It is called once a row, when the row's outputs are written. With a gradient the cluster waits for what it answers.
#pragma once
#include "gradient.cuh"

namespace turnwise::cuda {

/// Of d log p and dH; not yet times gradScale. `skip`: the row of the gradient is left alone.
struct RowCoefficients {
  double logProb, entropy;
  bool skip;
};

/// Nothing else is done with a row's result.
struct NoHook {
  using Parameters = RowParameters;
  static constexpr bool kWritesGradient = false;
  __device__ explicit NoHook(const Parameters*) {}
  __device__ void operator()(size_t, const RowResult&) const {}
};

/// The gradient of the log-prob itself; the row scale comes later.
struct DeferredScale {
  using Parameters = RowParameters;
  static constexpr bool kWritesGradient = true;
  __device__ explicit DeferredScale(const Parameters*) {}
  __device__ RowCoefficients operator()(size_t, const RowResult&) const { return {1, 0, false}; }
};

template <DType D, bool kEntropy, template <DType> class Rows, class Hook>
class RowWorker {
 public:
  __device__ RowWorker(const RowParameters& p, const Hook& hook) : p_(p), hook_(hook), rows_(p) {}

  __device__ void run() {
    unsigned i = blockIdx.x / clusterSize();
    rows_.begin(rowAt(i));
    clusterSync();  // from here on the peers are there, and so are the transfer barriers
    for (unsigned n = rowAt(i); n != kNoRow; i += clusters(), parity_ ^= 1) {
      const unsigned next = rowAt(i + clusters());
      work(n, next);
      n = next;
    }
    if constexpr (Hook::kWritesGradient) {
      for (; i < p_.list.all(); i += clusters()) fillSlice<D>(outOf(p_.list.row(i)), rows_.slice(), 0.0f);
      finishUnderflow(p_, underflowed_);
    }
  }

 private:
  static constexpr unsigned kLeader = 0;  // the warp that merges; of the first block, finishes and calls the hook

  __device__ unsigned warp() const { return threadIdx.x / kWarpSize; }
  __device__ unsigned lane() const { return threadIdx.x % kWarpSize; }
  __device__ bool leads() const { return clusterRank() == 0 && warp() == kLeader; }
  __device__ static unsigned clusters() { return gridDim.x / clusterSize(); }
  __device__ unsigned rowAt(unsigned i) const { return i < p_.list.active() ? p_.list.row(i) : kNoRow; }
  __device__ static RowShared& shared() { return RowShared::ofBlock(); }

  __device__ void work(unsigned n, unsigned next) {
    // Read before any block of the cluster can have overwritten it.
    uint32_t target = 0;
    float logit = 0;
    if (leads()) {
      target = targetOf(n);
      logit = Element<D>::toFloat(reinterpret_cast<const typename Element<D>::Bits*>(p_.gather.logits.row(n))[target]);
    }
    RunningSum<D, kEntropy> sum(p_.k);
    rows_.template read<!Hook::kWritesGradient>(n, next, parity_, [&](auto& x, unsigned) { sum.add(x); });
    const Partial ofWarp = sum.merged();
    if (lane() == 0) shared().warps[warp()] = ofWarp;
    __syncthreads();
    if (warp() == kLeader) {
      const Partial ofBlock = mergePartials(shared().warps, blockDim.x / kWarpSize);
      if (lane() == 0) *peerShared(&shared().blocks[parity_][clusterRank()], 0) = ofBlock;
    }
    if (clusterSize() > 1) {
      clusterSync();
    } else if constexpr (Hook::kWritesGradient) {
      __syncwarp();
    } else {
      __syncthreads();  // no other barrier keeps the next row's sums from these before they are merged
    }
    if constexpr (Hook::kWritesGradient) {
      if (leads()) decide(n, target, logit);
      if (clusterSize() > 1) {
        clusterSync();
      } else {
        __syncthreads();
      }
      writeGradient(n, next);
    } else if (leads()) {
      RowResult result;
      finish(n, logit, result);
      hook_(n, result);
    }
  }

  /// The guard repeats what was checked when the rows were listed: the caller's array may have changed since.
  __device__ uint32_t targetOf(size_t n) const {
    const auto target = static_cast<uint32_t>(p_.gather.targets[n]);
    const size_t width = p_.gather.logits.width;
    return target < width ? target : static_cast<uint32_t>(width - 1);
  }

  __device__ Partial mergePartials(const Partial* partials, unsigned count) const {
    const Partial mine = lane() < count ? partials[lane()] : Partial();
    return mergeLanes(mine, Reference(mine.max, p_.k), p_.k, kEntropy);
  }

  /// The row's result, from its blocks' sums in the order of their ranks; false where it is an error.
  __device__ bool finish(size_t n, float logit, RowResult& result) {
    const GatherLogProbs& args = p_.gather;
    SegmentSum row = mergePartials(shared().blocks[parity_], clusterSize()).relative(p_.k, args.temperature);
    compensateRounding(row, p_.kError);
    result = rowResult(row, logit, args.temperature);
    const StatusCode code = statusOf(result, args.nonFinite, p_.forGradient);
    if (lane() == 0) {
      args.logProbs[n] = result.logProb;
      if (args.logSumExp) args.logSumExp[n] = result.logSumExp;
      if (kEntropy && args.entropy) args.entropy[n] = result.entropy;
      if (code != StatusCode::ok) report(p_.error, code, static_cast<int64_t>(n));
    }
    __syncwarp();
    return code == StatusCode::ok;
  }

  /// What the row's elements become, for all blocks. They have all read their last row's: they met since.
  __device__ void decide(size_t n, uint32_t target, float logit) {
    RowResult result;
    GradientRow row;
    if (finish(n, logit, result)) {
      const RowCoefficients coefficients = hook_(n, result);
      const double scale = p_.gradient.coefficients ? p_.gradient.gradScale : 1.0;  // deferred: not applied
      const double temperature = p_.gather.temperature;
      const RowFactors factors{rowFactor(coefficients.logProb, scale, temperature),
                               rowFactor(coefficients.entropy, scale, temperature)};
      if (!coefficients.skip)
        row = gradientRow(p_.k, temperature, factors, target, result.logProb, result.logSumExp, result.entropy);
    }
    if (lane() < clusterSize()) *peerShared(&shared().verdict, lane()) = row;
  }

  __device__ void writeGradient(size_t n, unsigned next) {
    const GradientRow row = shared().verdict;
    const bool wasRead = writeSlice<D, kEntropy>(row, p_.k, rows_.slice(), outOf(n), underflowed_,
                                                 [&](const auto& visit) { rows_.readAgain(n, next, visit); });
    if (!wasRead) rows_.drop(next);
  }

  __device__ unsigned char* outOf(size_t n) const {
    return p_.gradient.gradient.row(n) + size_t{rows_.slice().first} * sizeOf(D);
  }

  const RowParameters& p_;
  const Hook& hook_;
  Rows<D> rows_;
  unsigned parity_ = 0;
  unsigned underflowed_ = 0;
};

template <DType D, bool kEntropy, template <DType> class Rows, class Hook>
__global__ void __launch_bounds__(kMaxRowThreads, Rows<D>::kBlocks)
    rowKernel(const RowParameters* parameters, const typename Hook::Parameters* ofHook) {
  if constexpr (kHasClusters || !Rows<D>::kBulk) {
    const Hook hook(ofHook);
    RowWorker<D, kEntropy, Rows, Hook>(*parameters, hook).run();
  }
}

}  // namespace turnwise::cuda
