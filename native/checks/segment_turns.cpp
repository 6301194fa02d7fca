#include "segment_turns.h"

#include <algorithm>

#include "arguments.h"

namespace turnwise {

bool validArguments(const SegmentTurns& args) {
  return args.count.size >= 1 && args.trajectoryOffsets.size >= 1 &&
         !anyOverlap(
             {args.starts, args.ends, args.tokens, args.trajectory, args.index, args.count, args.effectiveMask},
             {args.trajectoryOffsets, args.actionMask, args.turnIds, args.tokenIds, args.spanStarts, args.spanEnds});
}

size_t turnCapacity(const SegmentTurns& args) {
  return std::min({args.starts.size, args.ends.size, args.tokens.size, args.trajectory.size, args.index.size});
}

}  // namespace turnwise
