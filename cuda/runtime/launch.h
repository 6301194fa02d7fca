// A kernel launch as data: recorded first, so that a step can be compared with the one before it, and then either
// launched or captured into a graph.
//
// Kernels take only pointers to device memory at fixed places (parameter records, workspace heads). What changes from
// step to step - sizes, array addresses - lies in the records, so a graph stays valid for any number of rows.
#pragma once
#include <array>
#include <cstddef>

#include "failure.h"

namespace turnwise::cuda {

struct Geometry {
  unsigned blocks;
  unsigned threads;
  unsigned cluster = 1;  // blocks of one cluster; divides `blocks`
  size_t sharedBytes = 0;
};

inline bool operator==(const Geometry& a, const Geometry& b) {
  return a.blocks == b.blocks && a.threads == b.threads && a.cluster == b.cluster && a.sharedBytes == b.sharedBytes;
}

class Launch {
 public:
  static constexpr size_t kMaxArguments = 4;

  template <class... P>
  Launch(const Geometry& geometry, void (*kernel)(P*...), P*... arguments)
      : geometry_(geometry),
        kernel_(reinterpret_cast<void (*)()>(kernel)),
        arguments_{{const_cast<void*>(static_cast<const void*>(arguments))...}},
        start_(&Launch::start<P...>),
        prepare_(&Launch::prepare<P...>) {
    static_assert(sizeof...(P) <= kMaxArguments);
  }

  bool operator==(const Launch& other) const {
    return geometry_ == other.geometry_ && kernel_ == other.kernel_ && arguments_ == other.arguments_;
  }

  /// Lets the kernel have as much shared memory as a block may have: the limit is the process's, and other threads
  /// launch the same kernel with more or less. Not while a stream is being captured.
  void prepare(size_t mostShared) const { (this->*prepare_)(mostShared); }
  void start(cudaStream_t stream) const { (this->*start_)(stream, std::make_index_sequence<kMaxArguments>()); }

 private:
  using Arguments = std::array<void*, kMaxArguments>;
  using Indices = std::make_index_sequence<kMaxArguments>;

  template <class... P>
  void prepare(size_t mostShared) const {
    const auto kernel = reinterpret_cast<void (*)(P * ...)>(kernel_);
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(mostShared)));
  }

  template <class... P>
  void start(cudaStream_t stream, Indices) const {
    startWith<P...>(stream, std::make_index_sequence<sizeof...(P)>());
  }

  template <class... P, size_t... I>
  void startWith(cudaStream_t stream, std::index_sequence<I...>) const {
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(geometry_.blocks);
    config.blockDim = dim3(geometry_.threads);
    config.dynamicSmemBytes = geometry_.sharedBytes;
    config.stream = stream;
    cudaLaunchAttribute cluster{};
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim.x = geometry_.cluster;
    cluster.val.clusterDim.y = 1;
    cluster.val.clusterDim.z = 1;
    config.attrs = &cluster;
    config.numAttrs = geometry_.cluster > 1 ? 1 : 0;
    check(cudaLaunchKernelEx(&config, reinterpret_cast<void (*)(P * ...)>(kernel_), static_cast<P*>(arguments_[I])...));
  }

  Geometry geometry_;
  void (*kernel_)();
  Arguments arguments_;
  void (Launch::*start_)(cudaStream_t, Indices) const;
  void (Launch::*prepare_)(size_t) const;
};

}  // namespace turnwise::cuda
