// Dense ids by an open-addressing hash table: a sorted map costs a log factor and a cache miss a level, and a million
// turns must pass in milliseconds.
#include "turn_groups.h"

#include <limits>

namespace turnwise::cpu {

namespace {

/// Maps 64-bit keys to 0, 1, 2, ... by first appearance. Slots hold ids only and keys lie in order of their ids, so
/// that the part that is hit at random stays in cache.
class IdTable {
 public:
  uint32_t idOf(uint64_t key) {
    uint32_t* slot = probe(key);
    if (*slot != kEmpty) return *slot;
    if (2 * (keys_.size() + 1) > slots_.size()) {
      grow();
      slot = probe(key);
    }
    *slot = static_cast<uint32_t>(keys_.size());
    keys_.push_back(key);
    return *slot;
  }
  uint32_t count() const { return static_cast<uint32_t>(keys_.size()); }

 private:
  static constexpr int kFirstBits = 10;
  static constexpr uint32_t kEmpty = std::numeric_limits<uint32_t>::max();

  uint32_t* probe(uint64_t key) {
    // Fibonacci hashing: prompts and turn indices are small consecutive numbers, whose entropy the product lifts to the
    // top.
    size_t at = (key * 0x9e3779b97f4a7c15u) >> shift_;
    while (slots_[at] != kEmpty && keys_[slots_[at]] != key) at = (at + 1) & (slots_.size() - 1);
    return &slots_[at];
  }

  void grow() {
    --shift_;
    slots_.assign(2 * slots_.size(), kEmpty);
    for (uint32_t id = 0; id < keys_.size(); ++id) *probe(keys_[id]) = id;
  }

  std::vector<uint64_t> keys_;
  std::vector<uint32_t> slots_ = std::vector<uint32_t>(size_t{1} << kFirstBits, kEmpty);
  int shift_ = 64 - kFirstBits;
};

template <class KeyOf>
DenseIds denseIds(size_t n, const KeyOf& keyOf) {
  DenseIds dense;
  dense.ids.resize(n);
  IdTable table;
  for (size_t i = 0; i < n; ++i) dense.ids[i] = table.idOf(keyOf(i));
  dense.count = table.count();
  return dense;
}

}  // namespace

DenseIds promptIds(View<const int32_t> groups) {
  return denseIds(groups.size, [&](size_t m) -> uint64_t { return static_cast<uint32_t>(groups[m]); });
}

DenseIds promptTurnIds(const DenseIds& prompts, const Turns& turns) {
  return denseIds(turns.trajectory.size, [&](size_t k) {
    return static_cast<uint64_t>(prompts.ids[turns.trajectory[k]]) << 32 | static_cast<uint32_t>(turns.index[k]);
  });
}

}  // namespace turnwise::cpu
