#include "gather_log_probs.h"

#include "../rows/row_result.h"

namespace turnwise {

bool validArguments(const GatherLogProbs& args) {
  const size_t count = args.targets.size;
  const bool sizesFit = args.logits.count == count && (args.logits || count * args.logits.width == 0) &&
                        args.logits.width <= INT32_MAX && args.logits.rowStride() >= args.logits.width &&
                        args.logProbs.size == count && (!args.actionMask || args.actionMask.size == count) &&
                        (!args.logSumExp || args.logSumExp.size == count) &&
                        (!args.entropy || args.entropy.size == count);
  return sizesFit && supportedTemperature(args.temperature);
}

}  // namespace turnwise
