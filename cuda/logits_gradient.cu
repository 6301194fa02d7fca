// dLogits from the coefficient dLoss/dLogProb of each row (native/ops.h). Two kernels: each row's constants are formed,
// then the logits are read once and written once, 40 KB at a time; an element depends on its logit and its row's
// constants alone.
#include "../native/checks/logits_gradient.h"
#include "rows/launch_rows.h"
#include "rows/list_rows.cuh"
#include "runtime/step.h"

namespace turnwise::cuda {

namespace {

/// Of a row that one block takes at a time: 16 for each thread.
constexpr unsigned kItemVectors = 16 * kMaxRowThreads;

__device__ RowFactors factorsOf(const LogitsGradient& args, size_t n) {
  if (!inMask(args.actionMask, n)) return {0, 0};
  if (!args.coefficients) return {rowFactor(1, 1, args.temperature), 0};
  const auto factor = [&](double coefficient) { return rowFactor(coefficient, args.gradScale, args.temperature); };
  return {factor(args.coefficients[n]), args.entropyCoefficients ? factor(args.entropyCoefficients[n]) : 0.0};
}

/// Rows without a coefficient are written, not read.
__global__ void __launch_bounds__(Team::kMostThreads, 1) listGradientKernel(const RowParameters* parameters) {
  const RowParameters& p = *parameters;
  const LogitsGradient& args = p.gradient;
  listRows(
      p, args.targets.size,
      [&](size_t n) {
        GradientRow row;
        row.write = Write::zeros;
        if (inMask(args.actionMask, n) && checkTarget(p, args.targets, args.logits.width, n)) {
          const float entropy = args.entropy ? args.entropy[n] : 0;
          row = gradientRow(p.k, args.temperature, factorsOf(args, n), static_cast<uint32_t>(args.targets[n]),
                            args.logProbs[n], args.logSumExp[n], entropy);
        }
        p.constants[n] = row;
      },
      [&](size_t n) { return !factorsOf(args, n).zero(); });
}

template <DType D>
__global__ void __launch_bounds__(kMaxRowThreads, PlainRows<D>::kBlocks)
    gradientKernel(const RowParameters* parameters) {
  const RowParameters& p = *parameters;
  const ConstRows logits = p.gradient.logits;
  const Rows gradient = p.gradient.gradient;
  constexpr unsigned kItemColumns = kItemVectors * Element<D>::kPerVector;
  const auto width = static_cast<unsigned>(logits.width);
  const unsigned perRow = (width + kItemColumns - 1) / kItemColumns;
  const size_t items = size_t{p.list.all()} * perRow;
  const float k = p.k;
  unsigned underflowed = 0;
  for (size_t item = blockIdx.x; item < items; item += gridDim.x) {
    const size_t n = p.list.row(static_cast<unsigned>(item / perRow));
    const unsigned first = static_cast<unsigned>(item % perRow) * kItemColumns;
    const Slice slice{first, min(width - first, kItemColumns)};
    const unsigned char* const in = logits.row(n) + size_t{first} * sizeOf(D);
    unsigned char* const out = gradient.row(n) + size_t{first} * sizeOf(D);
    const GradientRow row = p.constants[n];
    writeSlice<D, true>(row, k, slice, out, underflowed, [&](const auto& visit) {
      forEachAhead(
          slice.vectors<D>(), false,
          [&](unsigned v) { return loadVector<D, Touched::once>(in + size_t{v} * kVectorBytes, slice.elements<D>(v)); },
          [&](const uint4& vector, unsigned v) {
            float x[Element<D>::kPerVector];
            Element<D>::unpack(vector, x);
            visit(x, v);
          });
    });
  }
  finishUnderflow(p, underflowed);
}

template <DType D>
void launchGradient(Lane& lane, const RowParameters* parameters) {
  Geometry geometry{1, kMaxRowThreads};
  geometry.blocks = residentBlocks(gradientKernel<D>, geometry);
  lane.launch(geometry, gradientKernel<D>, parameters);
}

}  // namespace

void enqueue(Lane& lane, const LogitsGradient& args) {
  GatherLogProbs rows{};
  rows.logits = args.logits;
  rows.temperature = args.temperature;
  RowParameters host = rowParameters(lane, rows, args);
  host.list.rows = lane.take<uint32_t>(args.targets.size);
  host.constants = lane.take<GradientRow>(args.targets.size);
  const RowParameters* const parameters = lane.parameters(host);
  lane.launch(teamGeometry(device()), listGradientKernel, parameters);
  switch (args.logits.dtype) {
    case DType::f32:
      return launchGradient<DType::f32>(lane, parameters);
    case DType::bf16:
      return launchGradient<DType::bf16>(lane, parameters);
    case DType::f16:
      return launchGradient<DType::f16>(lane, parameters);
  }
}

Status logitsGradient(const LogitsGradient& args, Context& context) {
  if (!validArguments(args)) return {StatusCode::invalidArgument, -1};
  return runStep(args, context);
}

}  // namespace turnwise::cuda
