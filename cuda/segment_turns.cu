// Turn spans from explicit ids, mask runs, delimiter tokens or given spans (native/ops.h), in one kernel: a team that
// reads the tokens in stretches. Nothing is used as an index before it has been compared with the length it indexes,
// and then only from a copy in workspace memory. With several errors the one is reported that a scan from left to right
// would meet first, as on the CPU.
#include "runtime/step.h"
#include "turns/enqueue_exactly.h"
#include "turns/span_turns.cuh"
#include "turns/token_turns.cuh"

namespace turnwise::cuda {

namespace {

__global__ void __launch_bounds__(Team::kMostThreads, 1)
    segmentTurnsKernel(const Segmentation* segmentation, ErrorWord* error) {
  if (failed(error)) return;
  const Team team;
  const SegmentTurns& args = segmentation->args;
  const Trajectories trajectories(team, args.trajectoryOffsets, segmentation->offsets);
  if (!trajectories.valid() || !validTokenCount(args, trajectories.tokenCount())) {
    if (team.rank() == 0) report(error, StatusCode::invalidArgument);
    return;
  }
  if (args.by == SegmentBy::spans)
    segmentBySpans(team, *segmentation, trajectories, error);
  else
    segmentByTokens(team, *segmentation, trajectories, error);
}

void enqueueSegmentation(Lane& lane, const SegmentTurns& args, bool exactly) {
  Segmentation segmentation{args, turnCapacity(args), exactly};
  segmentation.offsets = lane.take<int32_t>(args.trajectoryOffsets.size);
  if (args.by == SegmentBy::spans) {
    segmentation.spanStarts = lane.take<int32_t>(args.spanStarts.size);
    segmentation.spanEnds = lane.take<int32_t>(args.spanEnds.size);
    if (args.actionMask) segmentation.lossBefore = lane.take<uint32_t>(args.actionMask.size + 1);
  }
  lane.launch(teamGeometry(device()), segmentTurnsKernel, lane.parameters(segmentation), lane.error());
}

}  // namespace

void enqueue(Lane& lane, const SegmentTurns& args) {
  enqueueSegmentation(lane, args, false);
}

void enqueueExactly(Lane& lane, const SegmentTurns& args) {
  enqueueSegmentation(lane, args, true);
}

Status segmentTurns(const SegmentTurns& args, Context& context) {
  if (!validArguments(args)) return {StatusCode::invalidArgument, -1};
  return runStep(args, context);
}

}  // namespace turnwise::cuda
