// What can be said of segmentTurns' arguments from sizes and addresses alone: for every backend, before any array is
// read.
#pragma once
#include "../backend.h"

namespace turnwise {

/// Room for the count, offsets at all, and outputs that share no memory with an input or with each other.
bool validArguments(const SegmentTurns& args);

/// Whether the arrays with an element per token (and the two of the spans) have their length.
TURNWISE_HD inline bool validTokenCount(const SegmentTurns& args, size_t tokenCount) {
  if (args.actionMask && args.actionMask.size != tokenCount) return false;
  if (args.effectiveMask && args.effectiveMask.size != tokenCount) return false;
  switch (args.by) {
    case SegmentBy::turnIds:
      return args.turnIds.size == tokenCount;
    case SegmentBy::actionMask:
      return args.actionMask.size == tokenCount;
    case SegmentBy::delimiters:
      return args.tokenIds.size == tokenCount;
    case SegmentBy::spans:
      return args.spanStarts.size == args.spanEnds.size;
  }
  return false;
}

/// How many turns the outputs have room for.
size_t turnCapacity(const SegmentTurns& args);

}  // namespace turnwise
