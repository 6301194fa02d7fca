// Streams, events, graphs and host functions: CUDA's runtime API for them.
#pragma once
#include "device.h"

namespace turnwise::emulation {

/// Nobody may wait for a host function's stream, and yet the function is called: by a thread that then runs the stream.
inline void drainInBackground(uint64_t number) {
  std::thread([number] {
    const std::lock_guard<std::mutex> lock(runtime.mutex);
    Quiet quiet;
    for (CUstream_st* stream : runtime.streams) {
      if (stream->number != number) continue;
      drain(*stream);
      return;
    }
  }).detach();
}

/// `body(stream)` of a valid handle.
template <class Body>
cudaError_t withStream(cudaStream_t handle, Body body) {
  return callRuntime([&] {
    CUstream_st* stream = streamOf(handle);
    return stream == nullptr ? cudaErrorInvalidResourceHandle : body(*stream);
  });
}

}  // namespace turnwise::emulation

inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* handle, unsigned flags) {
  return turnwise::emulation::callRuntime([&] {
    if (flags > cudaStreamNonBlocking) return cudaErrorInvalidValue;
    auto& runtime = turnwise::emulation::runtime;
    *handle = new CUstream_st;
    (*handle)->number = ++runtime.streamsMade;
    (*handle)->blocking = flags == cudaStreamDefault;
    runtime.streams.push_back(*handle);
    return cudaSuccess;
  });
}
inline cudaError_t cudaStreamCreate(cudaStream_t* handle) {
  return cudaStreamCreateWithFlags(handle, cudaStreamDefault);
}

inline cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  return turnwise::emulation::callRuntime(
      [&] {
        auto& runtime = turnwise::emulation::runtime;
        const auto found = std::find(runtime.streams.begin() + 1, runtime.streams.end(), handle);
        if (found == runtime.streams.end()) return cudaErrorInvalidResourceHandle;
        if (handle->capture != nullptr) return cudaErrorStreamCaptureUnsupported;
        if (runtime.sticky == cudaSuccess) turnwise::emulation::drain(*handle);
        runtime.streams.erase(std::find(runtime.streams.begin(), runtime.streams.end(), handle));
        delete handle;
        return cudaSuccess;
      },
      true);
}

inline cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return turnwise::emulation::withStream(handle, [&](CUstream_st& stream) {
    if (stream.capture != nullptr) {
      stream.capture->invalid = true;
      return cudaErrorStreamCaptureUnsupported;
    }
    ++turnwise::emulation::runtime.counters.hostSynchronisations;
    if (handle == nullptr) turnwise::emulation::orderWithDefault(stream);
    turnwise::emulation::drain(stream);
    return cudaSuccess;
  });
}

inline cudaError_t cudaDeviceSynchronize() {
  return turnwise::emulation::callOutsideCapture([&] {
    ++turnwise::emulation::runtime.counters.hostSynchronisations;
    turnwise::emulation::drainAll();
    return cudaSuccess;
  });
}

/// Every question lets the device do one thing more, so that who asks again and again comes to an end.
inline cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return turnwise::emulation::withStream(handle, [&](CUstream_st& stream) {
    if (stream.capture != nullptr) return cudaErrorStreamCaptureUnsupported;
    if (stream.pending.empty()) return cudaSuccess;
    turnwise::emulation::DeviceRuns runs;
    turnwise::emulation::runNext(stream);
    return cudaErrorNotReady;
  });
}

inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* handle, unsigned flags) {
  return turnwise::emulation::callRuntime([&] {
    *handle = new CUevent_st;
    (*handle)->timing = (flags & cudaEventDisableTiming) == 0;
    turnwise::emulation::runtime.events.insert(*handle);
    return cudaSuccess;
  });
}
inline cudaError_t cudaEventCreate(cudaEvent_t* handle) {
  return cudaEventCreateWithFlags(handle, cudaEventDefault);
}

inline cudaError_t cudaEventDestroy(cudaEvent_t handle) {
  return turnwise::emulation::callRuntime(
      [&] {
        if (turnwise::emulation::runtime.events.erase(handle) == 0) return cudaErrorInvalidResourceHandle;
        delete handle;
        return cudaSuccess;
      },
      true);
}

inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle = nullptr) {
  return turnwise::emulation::withStream(handle, [&](CUstream_st& stream) {
    if (turnwise::emulation::runtime.events.count(event) == 0) return cudaErrorInvalidResourceHandle;
    turnwise::emulation::record(stream, *event);
    return cudaSuccess;
  });
}

inline cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned = 0) {
  return turnwise::emulation::withStream(handle, [&](CUstream_st& stream) {
    if (turnwise::emulation::runtime.events.count(event) == 0) return cudaErrorInvalidResourceHandle;
    return turnwise::emulation::follow(stream, *event);
  });
}

inline cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return turnwise::emulation::callRuntime([&] {
    if (turnwise::emulation::runtime.events.count(event) == 0) return cudaErrorInvalidResourceHandle;
    if (event->capture != nullptr) return cudaErrorStreamCaptureUnsupported;
    ++turnwise::emulation::runtime.counters.hostSynchronisations;
    if (event->latest == nullptr) return cudaSuccess;
    turnwise::emulation::DeviceRuns runs;
    while (!event->latest->done) turnwise::emulation::runNext(*event->latest->stream);
    return cudaSuccess;
  });
}

inline cudaError_t cudaEventQuery(cudaEvent_t event) {
  return turnwise::emulation::callRuntime([&] {
    if (turnwise::emulation::runtime.events.count(event) == 0) return cudaErrorInvalidResourceHandle;
    if (event->capture != nullptr) return cudaErrorStreamCaptureUnsupported;
    if (event->latest == nullptr || event->latest->done) return cudaSuccess;
    turnwise::emulation::DeviceRuns runs;
    turnwise::emulation::runNext(*event->latest->stream);
    return cudaErrorNotReady;
  });
}

inline cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  return turnwise::emulation::callRuntime([&] {
    for (cudaEvent_t event : {start, end}) {
      if (turnwise::emulation::runtime.events.count(event) == 0) return cudaErrorInvalidResourceHandle;
      if (!event->timing || event->latest == nullptr) return cudaErrorInvalidResourceHandle;
      if (!event->latest->done) return cudaErrorNotReady;
    }
    *milliseconds = static_cast<float>((end->latest->seconds - start->latest->seconds) * 1e3);
    return cudaSuccess;
  });
}

inline cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void* data) {
  return turnwise::emulation::withStream(handle, [&](CUstream_st& stream) {
    turnwise::emulation::enqueue(stream, [=] {
      turnwise::emulation::inHostFunction = true;
      function(data);
      turnwise::emulation::inHostFunction = false;
    });
    if (stream.capture != nullptr) {
      stream.capture->hasHostFunction = true;
    } else {
      turnwise::emulation::drainInBackground(stream.number);
    }
    return cudaSuccess;
  });
}

// ------------------------------------------------------------------------------------------------------- graphs

inline cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode) {
  return turnwise::emulation::withStream(handle, [&](CUstream_st& stream) {
    if (handle == nullptr || stream.capture != nullptr) return cudaErrorStreamCaptureUnsupported;
    stream.capture = new CUgraph_st;
    stream.capture->origin = &stream;
    stream.last.clear();
    return cudaSuccess;
  });
}

inline cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  return turnwise::emulation::withStream(handle, [&](CUstream_st& stream) {
    *graph = nullptr;
    if (stream.capture == nullptr || stream.capture->origin != &stream) return cudaErrorInvalidValue;
    CUgraph_st* captured = stream.capture;
    const cudaError_t error = turnwise::emulation::endCapture(stream, *captured);
    if (error != cudaSuccess) {
      delete captured;
      return error;
    }
    turnwise::emulation::runtime.graphs.insert(captured);
    *graph = captured;
    return cudaSuccess;
  });
}

inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long = 0) {
  return turnwise::emulation::callRuntime([&] {
    auto& runtime = turnwise::emulation::runtime;
    if (runtime.graphs.count(graph) == 0) return cudaErrorInvalidValue;
    ++runtime.counters.graphInstantiations;
    *executable = new CUgraphExec_st{graph->nodes, graph->hasHostFunction};
    runtime.graphExecs.insert(*executable);
    return cudaSuccess;
  });
}

inline cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t handle) {
  return turnwise::emulation::withStream(handle, [&](CUstream_st& stream) {
    auto& runtime = turnwise::emulation::runtime;
    if (runtime.graphExecs.count(executable) == 0) return cudaErrorInvalidValue;
    if (stream.capture != nullptr) return cudaErrorStreamCaptureUnsupported;
    ++runtime.counters.graphLaunches;
    // The nodes as they are now: the executable may be destroyed before they run.
    const auto nodes = std::make_shared<std::vector<CUgraphNode_st>>(executable->nodes);
    turnwise::emulation::enqueue(stream, [nodes] { turnwise::emulation::runGraph(*nodes); });
    if (executable->hasHostFunction) turnwise::emulation::drainInBackground(stream.number);
    return cudaSuccess;
  });
}

inline cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  return turnwise::emulation::callRuntime([&] {
    if (turnwise::emulation::runtime.graphs.count(graph) == 0) return cudaErrorInvalidValue;
    if (nodes != nullptr)
      for (size_t i = 0; i < std::min(*count, graph->nodes.size()); ++i) nodes[i] = &graph->nodes[i];
    *count = graph->nodes.size();
    return cudaSuccess;
  });
}

inline cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return turnwise::emulation::callRuntime(
      [&] {
        if (turnwise::emulation::runtime.graphs.erase(graph) == 0) return cudaErrorInvalidValue;
        delete graph;
        return cudaSuccess;
      },
      true);
}
inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  return turnwise::emulation::callRuntime(
      [&] {
        if (turnwise::emulation::runtime.graphExecs.erase(executable) == 0) return cudaErrorInvalidValue;
        delete executable;
        return cudaSuccess;
      },
      true);
}
