#include "logits_gradient.h"

#include "../rows/row_result.h"

namespace turnwise {

bool validArguments(const LogitsGradient& args) {
  const size_t count = args.targets.size;
  const bool sameShape = args.gradient.dtype == args.logits.dtype && args.gradient.width == args.logits.width &&
                         args.gradient.count == count && args.logits.count == count && args.logits.width <= INT32_MAX &&
                         args.logits.rowStride() >= args.logits.width &&
                         args.gradient.rowStride() >= args.gradient.width &&
                         ((args.logits && args.gradient) || count * args.logits.width == 0);
  const bool sizesFit =
      sameShape && args.logProbs.size == count && args.logSumExp.size == count &&
      (!args.actionMask || args.actionMask.size == count) && (!args.coefficients || args.coefficients.size == count) &&
      (!args.entropy || args.entropy.size == count) && (!args.underflowed || args.underflowed.size >= 1);
  const bool entropyFits = !args.entropyCoefficients || (args.entropyCoefficients.size == count && args.entropy &&
                                                         args.coefficients);  // deferred: the row scale is one number
  return sizesFit && entropyFits && supportedTemperature(args.temperature);
}

}  // namespace turnwise
