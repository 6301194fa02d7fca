// Streams, events and graphs. Work is deferred: it runs when the host waits for it, and no earlier, so that a host that
// reads too early reads poison and work that no event orders runs in an order of the schedule's choice.
#pragma once
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "memory.h"
#include "runtime_types.h"

namespace turnwise::emulation {

/// One cudaEventRecord.
struct Record {
  CUstream_st* stream;
  bool done = false;
  double seconds = 0;
};

struct Work {
  std::function<void()> run;       // or
  std::shared_ptr<Record> record;  // or
  std::shared_ptr<Record> awaited;
};

}  // namespace turnwise::emulation

struct CUgraphNode_st {
  std::function<void()> run;
  std::vector<size_t> after;  // numbers of earlier nodes
};
struct CUgraph_st {
  std::vector<CUgraphNode_st> nodes;
  CUstream_st* origin = nullptr;
  bool invalid = false;
  bool hasHostFunction = false;
};
struct CUgraphExec_st {
  std::vector<CUgraphNode_st> nodes;
  bool hasHostFunction = false;
};
struct CUstream_st {
  uint64_t number = 0;
  bool blocking = true;  // ordered with the default stream
  std::deque<turnwise::emulation::Work> pending;
  CUgraph_st* capture = nullptr;
  std::vector<size_t> last;  // captured nodes that the next one comes after
};
struct CUevent_st {
  bool timing = true;
  std::shared_ptr<turnwise::emulation::Record> latest;
  CUgraph_st* capture = nullptr;
  std::vector<size_t> captured;
};

namespace turnwise::emulation {

/// All that the runtime API knows. The mutex is held during each of its calls.
struct Runtime {
  std::mutex mutex;
  CUstream_st defaultStream;
  std::vector<CUstream_st*> streams = {&defaultStream};
  std::set<CUevent_st*> events;
  std::set<CUgraph_st*> graphs;
  std::set<CUgraphExec_st*> graphExecs;
  uint64_t streamsMade = 0;
  EmulatedCounters counters = {};
  cudaError_t sticky = cudaSuccess;
  cudaError_t next = cudaSuccess;
  int callsBefore = 0;
  std::map<const void*, size_t> sharedBytesOf;  // kernels that may have more than 48 KiB
};

inline Runtime& runtime = *new Runtime;

inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Null where the handle is none.
inline CUstream_st* streamOf(cudaStream_t handle) {
  if (handle == nullptr) return &runtime.defaultStream;
  const auto found = std::find(runtime.streams.begin(), runtime.streams.end(), handle);
  return found == runtime.streams.end() ? nullptr : *found;
}

inline void runNext(CUstream_st& stream) {
  Work work = std::move(stream.pending.front());
  stream.pending.pop_front();
  while (work.awaited != nullptr && !work.awaited->done) runNext(*work.awaited->stream);
  if (work.run) work.run();
  if (work.record == nullptr) return;
  work.record->done = true;
  work.record->seconds = now();
}

/// Device memory can be touched while one lives.
class DeviceRuns {
 public:
  DeviceRuns() { memory.open(); }
  ~DeviceRuns() { memory.close(); }
};

inline void drain(CUstream_st& stream) {
  if (stream.pending.empty()) return;
  DeviceRuns runs;
  while (!stream.pending.empty()) runNext(stream);
}

/// Everything, in an order that the events allow.
inline void drainAll() {
  DeviceRuns runs;
  schedule.refresh();
  for (;;) {
    std::vector<CUstream_st*> busy;
    for (CUstream_st* stream : runtime.streams)
      if (!stream->pending.empty()) busy.push_back(stream);
    if (busy.empty()) return;
    runNext(*busy[schedule.pick(busy.size())]);
  }
}

inline std::shared_ptr<Record> recordOn(CUstream_st& stream) {
  auto record = std::make_shared<Record>();
  record->stream = &stream;
  stream.pending.push_back({nullptr, record, nullptr});
  return record;
}

/// The default stream and the blocking ones wait for what the other had been given before.
inline void orderWithDefault(CUstream_st& stream) {
  const auto follow = [&](CUstream_st& other) {
    if (!other.pending.empty()) stream.pending.push_back({nullptr, nullptr, recordOn(other)});
  };
  if (&stream != &runtime.defaultStream) {
    if (stream.blocking) follow(runtime.defaultStream);
    return;
  }
  for (CUstream_st* other : runtime.streams)
    if (other != &stream && other->blocking) follow(*other);
}

/// Appends to the stream, or to the graph that it captures.
inline void enqueue(CUstream_st& stream, std::function<void()> run) {
  if (stream.capture == nullptr) {
    orderWithDefault(stream);
    stream.pending.push_back({std::move(run), nullptr, nullptr});
    return;
  }
  stream.capture->nodes.push_back({std::move(run), stream.last});
  stream.last = {stream.capture->nodes.size() - 1};
}

/// Whether any stream of a capture still holds it: what synchronises or allocates is then forbidden.
inline bool capturing() {
  for (CUstream_st* stream : runtime.streams)
    if (stream->capture != nullptr) return true;
  return false;
}

/// Each node after those that it names; which of several comes first is the schedule's choice.
inline void runGraph(const std::vector<CUgraphNode_st>& nodes) {
  std::vector<char> done(nodes.size());
  for (size_t count = 0; count < nodes.size(); ++count) {
    std::vector<size_t> ready;
    for (size_t i = 0; i < nodes.size(); ++i) {
      const auto& after = nodes[i].after;
      if (!done[i] && std::all_of(after.begin(), after.end(), [&](size_t node) { return done[node]; }))
        ready.push_back(i);
    }
    const size_t node = ready[schedule.pick(ready.size())];
    nodes[node].run();
    done[node] = 1;
  }
}

/// By cudaEventRecord.
inline void record(CUstream_st& stream, CUevent_st& event) {
  event.capture = stream.capture;
  if (stream.capture != nullptr) {
    event.captured = stream.last;
  } else {
    orderWithDefault(stream);
    event.latest = recordOn(stream);
  }
}

/// By cudaStreamWaitEvent. In a capture this is how a second stream joins it, and the first takes it back.
inline cudaError_t follow(CUstream_st& stream, const CUevent_st& event) {
  if (event.capture == nullptr) {
    if (stream.capture != nullptr) {
      if (event.latest == nullptr) return cudaSuccess;
      stream.capture->invalid = true;
      return cudaErrorStreamCaptureIsolation;
    }
    if (event.latest != nullptr && !event.latest->done) stream.pending.push_back({nullptr, nullptr, event.latest});
    return cudaSuccess;
  }
  if (stream.capture == nullptr) {
    stream.capture = event.capture;
    stream.last.clear();
  }
  if (stream.capture != event.capture) return cudaErrorStreamCaptureIsolation;
  for (size_t node : event.captured)
    if (std::find(stream.last.begin(), stream.last.end(), node) == stream.last.end()) stream.last.push_back(node);
  return cudaSuccess;
}

/// By cudaStreamEndCapture: all that was captured must come before the origin's last nodes.
inline cudaError_t endCapture(CUstream_st& origin, CUgraph_st& graph) {
  std::vector<char> reached(graph.nodes.size());
  std::vector<size_t> next = origin.last;
  while (!next.empty()) {
    const size_t node = next.back();
    next.pop_back();
    if (reached[node]) continue;
    reached[node] = 1;
    next.insert(next.end(), graph.nodes[node].after.begin(), graph.nodes[node].after.end());
  }
  const bool joined = std::all_of(reached.begin(), reached.end(), [](char is) { return is != 0; });
  for (CUstream_st* stream : runtime.streams)
    if (stream->capture == &graph) stream->capture = nullptr;
  for (CUevent_st* event : runtime.events)
    if (event->capture == &graph) event->capture = nullptr;
  if (graph.invalid) return cudaErrorStreamCaptureInvalidated;
  return joined ? cudaSuccess : cudaErrorStreamCaptureUnjoined;
}

}  // namespace turnwise::emulation
