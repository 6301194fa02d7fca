// Launching the row kernels.
#pragma once
#include <mutex>
#include <vector>

#include "../runtime/lane.h"
#include "row_kernel.cuh"

namespace turnwise::cuda {

/// Blocks that the device runs at once, in whole clusters: what a kernel is launched with whose blocks walk through a
/// list. The same for any number of rows.
template <class... P>
unsigned residentBlocks(void (*kernel)(P*...), const Geometry& geometry) {
  struct Known {
    void (*kernel)(P*...);
    Geometry geometry;
    unsigned blocks;
  };
  static std::mutex mutex;
  static std::vector<Known> all;
  const std::lock_guard<std::mutex> lock(mutex);
  for (const Known& known : all) {
    if (known.kernel == kernel && known.geometry == geometry) return known.blocks;
  }
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(device().sharedPerBlock)));
  int count = 0;
  if (geometry.cluster > 1) {
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(geometry.cluster);
    config.blockDim = dim3(geometry.threads);
    config.dynamicSmemBytes = geometry.sharedBytes;
    cudaLaunchAttribute cluster{};
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim.x = geometry.cluster;
    cluster.val.clusterDim.y = 1;
    cluster.val.clusterDim.z = 1;
    config.attrs = &cluster;
    config.numAttrs = 1;
    check(cudaOccupancyMaxActiveClusters(&count, kernel, &config));
  } else {
    check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&count, kernel, static_cast<int>(geometry.threads),
                                                        geometry.sharedBytes));
    count *= static_cast<int>(device().multiprocessors);
  }
  const unsigned blocks = geometry.cluster * static_cast<unsigned>(count > 0 ? count : 1);
  all.push_back({kernel, geometry, blocks});
  return blocks;
}

/// Workspace and layout of a step over the rows of `args`.
inline RowParameters rowParameters(Lane& lane, const GatherLogProbs& args) {
  RowParameters parameters(args, rowGeometry(args.logits.width, args.logits.dtype, device()));
  parameters.list.rows = lane.take<uint32_t>(args.targets.size);
  parameters.list.counts = lane.take<uint32_t>(2);
  parameters.error = lane.error();
  return parameters;
}

/// The same with a gradient from the rows while they are on chip.
inline RowParameters rowParameters(Lane& lane, const GatherLogProbs& args, const LogitsGradient& gradient) {
  RowParameters parameters = rowParameters(lane, args);
  parameters.gradient = gradient;
  parameters.forGradient = true;
  if (gradient.underflowed) parameters.underflow = lane.take<UnderflowCount>(1);
  return parameters;
}

/// Lists the kernel that checks targets and answers rows outside the mask (list_rows.cuh). Before launchRows.
void listForward(Lane& lane, const RowParameters* parameters);

/// gatherLogProbs as a part of a step; `forGradient`: refuse rows whose gradient could not be formed from logSumExp.
void enqueueGather(Lane& lane, const GatherLogProbs& args, bool forGradient);

template <DType D, bool kEntropy, template <DType> class Rows, class Hook>
void launchRowKernel(Lane& lane, const RowGeometry& row, const RowParameters* parameters,
                     const typename Hook::Parameters* ofHook) {
  const auto kernel = rowKernel<D, kEntropy, Rows, Hook>;
  Geometry geometry{row.cluster, row.threads, row.cluster, row.sharedBytes};
  geometry.blocks = residentBlocks(kernel, geometry);
  lane.launch(geometry, kernel, parameters, ofHook);
}

template <DType D, class Hook>
void launchRowsOf(Lane& lane, const RowParameters& host, const RowParameters* parameters,
                  const typename Hook::Parameters* ofHook) {
  const RowGeometry& row = host.geometry;
  // With a gradient the arithmetic of the entropy costs nothing beside two transfers.
  constexpr bool kAlways = Hook::kWritesGradient;
  const bool chip = row.chunks > 0;
  if (kAlways || host.gather.entropy) {
    if (chip) return launchRowKernel<D, true, ChipRows, Hook>(lane, row, parameters, ofHook);
    return launchRowKernel<D, true, PlainRows, Hook>(lane, row, parameters, ofHook);
  }
  if constexpr (!kAlways) {
    if (chip) return launchRowKernel<D, false, ChipRows, Hook>(lane, row, parameters, ofHook);
    return launchRowKernel<D, false, PlainRows, Hook>(lane, row, parameters, ofHook);
  }
}

/// Lists the row kernel with a hook (row_kernel.cuh); `parameters` is `host` in device memory.
template <class Hook>
void launchRows(Lane& lane, const RowParameters& host, const RowParameters* parameters,
                const typename Hook::Parameters* ofHook) {
  switch (host.gather.logits.dtype) {
    case DType::f32:
      return launchRowsOf<DType::f32, Hook>(lane, host, parameters, ofHook);
    case DType::bf16:
      return launchRowsOf<DType::bf16, Hook>(lane, host, parameters, ofHook);
    case DType::f16:
      return launchRowsOf<DType::f16, Hook>(lane, host, parameters, ofHook);
  }
}

}  // namespace turnwise::cuda
