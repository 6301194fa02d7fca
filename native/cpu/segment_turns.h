// segmentTurns as the first part of a fused step.
#pragma once
#include "../backend.h"

namespace turnwise::cpu {

/// segmentTurns whose outputs the following ops read as they are: turn-count where there are not exactly as many turns
/// as the outputs have room for.
Status segmentExactly(const SegmentTurns& args);

}  // namespace turnwise::cpu
