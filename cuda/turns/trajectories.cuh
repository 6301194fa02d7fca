// Which tokens are whose: the offsets of the trajectories, copied before they are checked and used from that copy.
#pragma once
#include "../device/team.cuh"

namespace turnwise::cuda {

/// How many of ascending values[0..n) are at most x.
__device__ inline size_t countUpTo(const int32_t* values, size_t n, int64_t x) {
  size_t first = 0, end = n;
  while (first < end) {
    const size_t middle = first + (end - first) / 2;
    if (values[middle] <= x)
      first = middle + 1;
    else
      end = middle;
  }
  return first;
}

class Trajectories {
 public:
  /// `own` has room for the offsets. Called by all members.
  __device__ Trajectories(const Team& team, const View<const int32_t>& offsets, int32_t* own)
      : offsets_(own), count_(offsets.size - 1) {
    team.forEach(offsets.size, [&](size_t m) { own[m] = offsets[m]; });
    team.sync();
    bool ascending = own[0] == 0;
    team.forEach(count_, [&](size_t m) { ascending = ascending && own[m] <= own[m + 1]; });
    valid_ = team.all(ascending);
  }

  /// Ascending from 0. Nothing below means anything otherwise.
  __device__ bool valid() const { return valid_; }
  __device__ size_t tokenCount() const { return static_cast<size_t>(offsets_[count_]); }
  __device__ size_t begin(size_t m) const { return static_cast<size_t>(offsets_[m]); }
  __device__ size_t end(size_t m) const { return static_cast<size_t>(offsets_[m + 1]); }
  /// The one that token n < tokenCount() lies in: empty ones share its offset and stand before it.
  __device__ size_t of(size_t n) const { return countUpTo(offsets_, count_ + 1, static_cast<int64_t>(n)) - 1; }

 private:
  const int32_t* offsets_;
  size_t count_;
  bool valid_;
};

}  // namespace turnwise::cuda
