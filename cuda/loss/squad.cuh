// A team divided into squads, a crew each, that add up different things at the same time.
#pragma once
#include "../device/team.cuh"

namespace turnwise::cuda {

/// Every n-th warp of a team. Its collective calls are barriers of the whole team: all squads make the same ones.
class Squad {
 public:
  struct Slot {
    alignas(16) unsigned char bytes[32];
  };
  /// Room for what warps hand to each other, two rounds of it.
  static constexpr size_t kSlots = 2 * Team::kMaxBlocks * Team::kMaxWarps;

  /// Number `index` of `squads`, which are no more than the team has warps. `slots` in memory of the device.
  __device__ Squad(const Team& team, size_t squads, Slot* slots)
      : team_(team), slots_(slots), squads_(squads), index_(team.rank() / kWarpSize % squads) {}

  __device__ size_t index() const { return index_; }
  __device__ size_t rank() const { return team_.rank() / kWarpSize / squads_ * kWarpSize + threadIdx.x % kWarpSize; }
  __device__ size_t size() const { return (warps() - index_ + squads_ - 1) / squads_ * kWarpSize; }
  __device__ double largest(double x) const { return combine(x, Largest()); }
  template <class Sum>
  __device__ Sum together(Sum sum) const {
    sum.setParts(combine(sum.parts(), Plus()));
    return sum;
  }

 private:
  __device__ size_t warps() const { return team_.size() / kWarpSize; }

  /// The rounds take turns with the two halves of the slots: whoever still reads the last one is not disturbed by the
  /// next, and nobody can be two rounds behind.
  template <class T, class Combine>
  __device__ T combine(T value, const Combine& op) const {
    static_assert(sizeof(T) <= sizeof(Slot));
    round_ ^= 1;
    Slot* const slots = slots_ + round_ * (kSlots / 2);
    value = reduceWarp(value, op);
    if (threadIdx.x % kWarpSize == 0) *reinterpret_cast<T*>(slots[team_.rank() / kWarpSize].bytes) = value;
    team_.sync();
    value = *reinterpret_cast<const T*>(slots[index_].bytes);
    for (size_t warp = index_ + squads_; warp < warps(); warp += squads_) {
      value = op(value, *reinterpret_cast<const T*>(slots[warp].bytes));
    }
    return value;
  }

  const Team& team_;
  Slot* slots_;
  size_t squads_;
  size_t index_;
  mutable unsigned round_ = 0;
};

}  // namespace turnwise::cuda
