// ops.h as plain data, for the test that holds it against lib/ops.ts.
//   { ops: { segmentTurns: 'SegmentTurns', ... },                       each op's record
//     records: { SegmentTurns: { by: 'SegmentBy', ... }, Turns: ... },  each record's fields and C++ types, in order
//     enums: { SegmentBy: ['turn-ids', ...], Metric: [...], ... } }     each enum's JavaScript spellings, in order
#pragma once
#include <napi.h>

namespace turnwise::binding {

Napi::Object schemaExports(Napi::Env env);

}  // namespace turnwise::binding
