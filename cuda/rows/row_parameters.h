// What the row kernels work on, as the host writes it down.
#pragma once
#include "../../native/rows/row_result.h"
#include "../device/error_word.cuh"
#include "tuning.h"

namespace turnwise::cuda {

/// Rows by what is to be done with them: first those that are worked on, then the others, which are at most zeroed.
struct RowList {
  uint32_t* rows = nullptr;    // [N]
  uint32_t* counts = nullptr;  // [2] of the first kind, and of all: 0 and 0 after an error

  __device__ unsigned active() const { return counts[0]; }
  __device__ unsigned all() const { return counts[1]; }
  /// The bound is for a list made from a mask that somebody changed meanwhile.
  __device__ unsigned row(unsigned i) const { return min(rows[i], all() - 1); }
};

/// Elements that rounding to 16 bits made 0, counted by all blocks; the last one to finish writes the sum.
struct UnderflowCount {
  unsigned long long elements;
  unsigned blocksDone;
};

struct GradientRow;

struct RowParameters {
  RowParameters(const GatherLogProbs& args, const RowGeometry& layout)
      : gather(args), geometry(layout), k(static_cast<float>(kLog2E / args.temperature)) {
    kError = k / (kLog2E / args.temperature) - 1;
  }

  GatherLogProbs gather;
  LogitsGradient gradient;  // only where the kernel writes one
  RowGeometry geometry;
  RowList list;
  GradientRow* constants = nullptr;     // [N], where the gradient is a kernel of its own
  UnderflowCount* underflow = nullptr;  // where gradient.underflowed is wanted
  ErrorWord* error = nullptr;
  double kError;  // relative error of k
  float k;        // log2(e) / T
  bool forGradient = false;
};

}  // namespace turnwise::cuda
