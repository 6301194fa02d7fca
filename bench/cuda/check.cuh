// Whether what an op computed is right, so that no wrong kernel is timed: logits against float64 on some rows, all that
// is per token or turn against the CPU backend, which the case table holds against the reference.
#pragma once
#include <cstring>
#include <string>

#include "../../native/cpu/simd/half.h"
#include "step_batch.cuh"

namespace turnwise::bench {

/// Zero where an op has no such output.
struct Errors {
  double logProbUlp = 0;   // the largest, of sampled rows, in ULP of float32
  double gradientL2 = 0;   // of sampled rows, relative
  double coefficient = 0;  // the largest difference to the CPU's, relative to the largest coefficient
  double zeroRows = 0;     // share of the rows whose coefficient is 0
  std::string wrong;       // the first thing beyond its bound
  void bound(double error, double allowed, const char* what) {
    if (error <= allowed || !wrong.empty()) return;
    wrong = std::string(what) + " is off by " + std::to_string(error) + ", allowed " + std::to_string(allowed);
  }
};

/// A row's softmax in float64, the largest term kept out of the sum.
struct ExactRow {
  std::vector<double> z;  // logits / T
  size_t largest = 0;
  double sumOfOthers = 0, gap = 0;

  ExactRow(const std::vector<unsigned char>& row, DType dtype, size_t columns) : z(columns) {
    double second = -std::numeric_limits<double>::infinity();
    for (size_t v = 0; v < columns; ++v) {
      z[v] = static_cast<double>(cpu::loadElement(row.data(), dtype, v)) / kTemperature;
      if (z[v] > z[largest]) largest = v;
    }
    for (size_t v = 0; v < columns; ++v) {
      if (v == largest) continue;
      second = std::max(second, z[v]);
      sumOfOthers += std::exp(z[v] - z[largest]);
    }
    gap = z[largest] - second;
  }
  double logProb(size_t v) const { return z[v] - z[largest] - std::log1p(sumOfOthers); }
  /// dLogits of coefficient 1.
  double gradient(size_t v, size_t target) const {
    return (v == target ? -std::expm1(logProb(v)) : -std::exp(logProb(v))) / kTemperature;
  }
};

inline double ulpOf(double x) {
  const double magnitude = std::max(std::abs(x), 0x1p-126);
  return std::ldexp(1.0, static_cast<int>(std::floor(std::log2(magnitude))) - 23);
}

/// In pairs, so that flat and peaked rows are among them.
inline std::vector<size_t> sampledRows(size_t rows) {
  constexpr size_t kPairs = 4;
  std::vector<size_t> sample;
  for (size_t i = 0; i < kPairs && rows >= 2; ++i) {
    const size_t first = i * (rows - 2) / (kPairs - 1);
    sample.push_back(first);
    sample.push_back(first + 1);
  }
  return sample;
}

/// The promise: 4 + gap ULP, and half a ULP of rounding.
inline void checkLogProbs(StepBatch& batch, Errors& errors) {
  batch.logProbs.toHost();
  for (const size_t n : sampledRows(batch.shape.rows)) {
    const ExactRow row(batch.originalRow(n), batch.shape.dtype, batch.shape.columns);
    const double exact = row.logProb(static_cast<size_t>(batch.targets.host[n]));
    const double ulps = std::abs(static_cast<double>(batch.logProbs.host[n]) - exact) / ulpOf(exact);
    errors.logProbUlp = std::isnan(ulps) ? INFINITY : std::max(errors.logProbUlp, ulps);
    errors.bound(std::isnan(ulps) ? INFINITY : ulps, 4.5 + row.gap, "a log-prob, in ULP,");
  }
}

/// Of the gradient that lies where the logits were; `coefficients` null: 1.
inline void checkGradient(StepBatch& batch, const std::vector<double>* coefficients, Errors& errors) {
  double square = 0, scale = 0;
  for (const size_t n : sampledRows(batch.shape.rows)) {
    const ExactRow row(batch.originalRow(n), batch.shape.dtype, batch.shape.columns);
    const std::vector<unsigned char> written = batch.gradientRow(n);
    const double coefficient = coefficients ? (*coefficients)[n] : 1;
    for (size_t v = 0; v < batch.shape.columns; ++v) {
      const double exact = coefficient * row.gradient(v, static_cast<size_t>(batch.targets.host[n]));
      const double error = static_cast<double>(cpu::loadElement(written.data(), batch.shape.dtype, v)) - exact;
      square += error * error;
      scale += exact * exact;
    }
  }
  errors.gradientL2 = scale > 0 ? std::sqrt(square / scale) : std::sqrt(square);
  if (std::isnan(errors.gradientL2)) errors.gradientL2 = INFINITY;
  // bf16: rounding alone is 1.7e-3 at most.
  errors.bound(errors.gradientL2, batch.shape.dtype == DType::f32 ? 1e-5 : 3e-3, "the gradient's relative L2");
}

template <class T>
bool sameBits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

/// Turns and credit: the CPU's bits.
inline void checkCredit(StepBatch& batch, Errors& errors) {
  batch.turnsToHost();
  for (auto* array : {&batch.advantages, &batch.clipScale}) array->toHost();
  const auto starts = batch.starts.host, tokens = batch.tokens.host;
  const auto advantages = batch.advantages.host, clipScale = batch.clipScale.host;
  Context context;
  const bool ran = cpuBackend().segmentTurns(batch.segmentation(Memory::host), context) &&
                   cpuBackend().turnStatistics(batch.statistics(Memory::host), context);
  const bool same = sameBits(starts, batch.starts.host) && sameBits(tokens, batch.tokens.host) &&
                    sameBits(advantages, batch.advantages.host);
  errors.bound(ran && same ? 0 : 1, 0, "turns or advantages: other bits than the CPU's, which");
  // Of another library's exp.
  for (size_t k = 0; k < clipScale.size(); ++k)
    errors.bound(std::abs(clipScale[k] - batch.clipScale.host[k]), 1e-14, "a clip scale");
}

/// dLoss/dLogProb as the CPU has it from the same log-probs.
inline void checkCoefficients(StepBatch& batch, const Surrogate& onHost, Errors& errors) {
  batch.coefficients.toHost();
  batch.entropy.toHost();
  const std::vector<double> found = batch.coefficients.host;
  Context context;
  const bool ran = static_cast<bool>(cpuBackend().surrogate(onHost, context));
  errors.bound(ran ? 0 : 1, 0, "surrogate on the CPU");
  double largest = 0, difference = 0;
  size_t zeros = 0;
  for (size_t n = 0; n < found.size(); ++n) {
    largest = std::max(largest, std::abs(batch.coefficients.host[n]));
    difference = std::max(difference, std::abs(found[n] - batch.coefficients.host[n]));
    if (std::isnan(found[n])) difference = INFINITY;
    zeros += found[n] == 0;
  }
  errors.coefficient = largest > 0 ? difference / largest : difference;
  errors.zeroRows = found.empty() ? 0 : static_cast<double>(zeros) / static_cast<double>(found.size());
  errors.bound(errors.coefficient, 1e-12, "a coefficient, relative,");
  batch.coefficients.host = found;
}

}  // namespace turnwise::bench
