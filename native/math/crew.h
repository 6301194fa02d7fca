// Who works on a formula together: one CPU thread (Solo), or the threads of a GPU warp or cluster (cuda/device). The
// formulas of native/math that run over many values take a crew, so that they are written once for all of them.
//
// A crew has
//   rank(), size()       each member takes the items rank(), rank() + size(), ...
//   largest(x)           the largest x of all members (NaN if there is one)
//   smallest(x)          the smallest (likewise)
//   sum(count)           the sum of unsigned integers
//   all(flag)            whether it is true of all members
//   together(sum)        a ReproducibleSum of all members' terms
//   total(x)             the plain sum, in an order that depends on size() alone; only where that is fixed (Solo, Warp)
// and every member receives the same result, bit for bit. All members of a crew take part in every such call.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../types.h"

namespace turnwise {

struct Solo {
  TURNWISE_HD constexpr size_t rank() const { return 0; }
  TURNWISE_HD constexpr size_t size() const { return 1; }
  TURNWISE_HD double largest(double x) const { return x; }
  TURNWISE_HD double smallest(double x) const { return x; }
  TURNWISE_HD uint64_t sum(uint64_t count) const { return count; }
  TURNWISE_HD double total(double x) const { return x; }
  TURNWISE_HD bool all(bool flag) const { return flag; }
  template <class Sum>
  TURNWISE_HD Sum together(const Sum& sum) const {
    return sum;
  }
};

}  // namespace turnwise
