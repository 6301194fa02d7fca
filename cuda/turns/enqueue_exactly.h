// segmentTurns as the first part of a fused step.
#pragma once
#include "../runtime/lane.h"

namespace turnwise::cuda {

/// enqueue() of segmentTurns whose outputs the following ops read as they are: turn-count where there are not exactly
/// as many turns as the outputs have room for.
void enqueueExactly(Lane& lane, const SegmentTurns& args);

}  // namespace turnwise::cuda
