#include "staging.h"
#include "step.h"

namespace turnwise::cuda {

namespace {

template <class Record>
Status run(const Record& args, const Context& context) {
  if (context.aborted()) return {StatusCode::aborted, -1};
  return guarded([&](Workplace& workplace) {
    Lane& lane = workplace.lane;
    lane.begin();
    Staging staging(lane, workplace.transfer);
    Record onDevice = args;
    staging.toDevice(onDevice);
    enqueue(lane, onDevice);
    // Only what is called again and again is worth a graph.
    lane.submit(std::is_same_v<Record, PolicyLoss>);
    staging.fetchSmall();
    const Status status = lane.wait();
    if (status) staging.toHost();
    lane.end();
    return status;
  });
}

}  // namespace

#define TURNWISE_RUN_OP(Record, name)                                                                                  \
  Status runStep(const Record& args, const Context& context) { return run(args, context); }
TURNWISE_OPS(TURNWISE_RUN_OP)
#undef TURNWISE_RUN_OP

}  // namespace turnwise::cuda
