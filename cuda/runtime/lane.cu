#include <algorithm>

#include "block_cache.h"
#include "lane.h"

namespace turnwise::cuda {

namespace {

constexpr size_t kAlignment = 256;
/// The error word's place, and then room for the records of the largest step (policyLoss: about 20 kB).
constexpr size_t kErrorBytes = 16;
constexpr size_t kRecordCapacity = 64 << 10;
/// Device memory that a lane keeps between steps. What a step needs beyond it, staged logits mostly, is given back.
constexpr size_t kKeptBytes = size_t{64} << 20;
constexpr size_t kSmallestChunk = size_t{1} << 20;
/// Steps of so many kinds are kept as graphs: an estimator and a vocabulary are one or two.
constexpr size_t kMaxGraphs = 16;

size_t roundUp(size_t bytes, size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

}  // namespace

struct Lane::Chunk {
  unsigned char* data;
  size_t bytes;
};

struct Lane::Graph {
  std::vector<Launch> launches;
  size_t recordBytes;
  cudaGraphExec_t executable = nullptr;
  ~Graph() {
    if (executable) cudaGraphExecDestroy(executable);
  }
};

Lane::Lane() {
  try {
    create();
  } catch (...) {
    destroy();
    throw;
  }
}

Lane::~Lane() {
  destroy();
}

void Lane::create() {
  check(cudaSetDevice(device().ordinal));
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  void* memory = nullptr;
  check(cudaHostAlloc(&memory, kErrorBytes + kRecordCapacity, cudaHostAllocDefault));
  pinned_ = static_cast<unsigned char*>(memory);
  check(cudaHostAlloc(&memory, sizeof(ErrorWord), cudaHostAllocDefault));
  result_ = static_cast<ErrorWord*>(memory);
  check(cudaMalloc(&memory, kErrorBytes + kRecordCapacity));
  records_ = static_cast<unsigned char*>(memory);
}

void Lane::destroy() {
  if (stream_) cudaStreamSynchronize(stream_);
  graphs_.clear();
  for (const Chunk& chunk : chunks_) cudaFree(chunk.data);
  if (records_) cudaFree(records_);
  if (result_) cudaFreeHost(result_);
  if (pinned_) cudaFreeHost(pinned_);
  if (stream_) cudaStreamDestroy(stream_);
}

void Lane::begin() {
  taken_ = 0;
  recordBytes_ = 0;
  launches_.clear();
}

void Lane::end() {
  size_t total = 0;
  for (const Chunk& chunk : chunks_) total += chunk.bytes;
  if (chunks_.size() < 2 && total <= kKeptBytes) return;
  for (const Chunk& chunk : chunks_) cudaFree(chunk.data);
  chunks_.clear();
  if (total <= kKeptBytes) addChunk(total);
}

void Lane::addChunk(size_t bytes) {
  chunks_.push_back({static_cast<unsigned char*>(BlockCache::instance().allocate(bytes)), bytes});
  taken_ = 0;
}

void* Lane::takeBytes(size_t bytes) {
  bytes = roundUp(std::max<size_t>(bytes, 1), kAlignment);
  if (chunks_.empty() || chunks_.back().bytes - taken_ < bytes) addChunk(std::max(bytes, kSmallestChunk));
  void* const memory = chunks_.back().data + taken_;
  taken_ += bytes;
  return memory;
}

const void* Lane::addRecord(const void* record, size_t bytes) {
  const size_t place = kErrorBytes + recordBytes_;
  recordBytes_ += roundUp(bytes, kRecordAlignment);
  if (recordBytes_ > kRecordCapacity) throw Failure{cudaErrorInvalidValue};
  std::memcpy(pinned_ + place, record, bytes);
  return records_ + place;
}

ErrorWord* Lane::error() const {
  return reinterpret_cast<ErrorWord*>(records_);
}

void Lane::sendAll() {
  const size_t bytes = kErrorBytes + recordBytes_;
  check(cudaMemcpyAsync(records_, pinned_, bytes, cudaMemcpyHostToDevice, stream_));
  for (const Launch& launch : launches_) launch.start(stream_);
  check(cudaMemcpyAsync(result_, records_, sizeof(ErrorWord), cudaMemcpyDeviceToHost, stream_));
}

Lane::Graph& Lane::graph() {
  const auto known = std::find_if(graphs_.begin(), graphs_.end(), [&](const std::unique_ptr<Graph>& graph) {
    return graph->recordBytes == recordBytes_ && graph->launches == launches_;
  });
  if (known != graphs_.end()) {
    std::rotate(graphs_.begin(), known, known + 1);  // the least used comes to stand last
    return *graphs_.front();
  }
  if (graphs_.size() == kMaxGraphs) graphs_.pop_back();
  auto made = std::make_unique<Graph>();
  made->launches = launches_;
  made->recordBytes = recordBytes_;
  for (const Launch& launch : launches_) launch.prepare(device().sharedPerBlock);
  // Thread-local: other threads may allocate meanwhile.
  check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
  cudaGraph_t captured = nullptr;
  try {
    sendAll();
  } catch (...) {
    cudaStreamEndCapture(stream_, &captured);
    if (captured) cudaGraphDestroy(captured);
    throw;
  }
  check(cudaStreamEndCapture(stream_, &captured));
  const cudaError_t error = cudaGraphInstantiate(&made->executable, captured, 0);
  cudaGraphDestroy(captured);
  check(error);
  graphs_.insert(graphs_.begin(), std::move(made));
  return *graphs_.front();
}

void Lane::submit(bool asGraph) {
  const ErrorWord none{ErrorWord::kNone};
  std::memcpy(pinned_, &none, sizeof none);
  if (asGraph) {
    check(cudaGraphLaunch(graph().executable, stream_));
    return;
  }
  for (const Launch& launch : launches_) launch.prepare(device().sharedPerBlock);
  sendAll();
}

Status Lane::wait() {
  check(cudaStreamSynchronize(stream_));
  return statusOf(*result_);
}

}  // namespace turnwise::cuda
