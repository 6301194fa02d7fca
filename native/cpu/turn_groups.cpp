// Dense ids by an open-addressing hash table: a sorted map costs a log factor and a cache miss a level, and a million
// turns must pass in milliseconds.
#include "turn_groups.h"

#include <chrono>
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

  /// Every bit of the key reaches the top bits (the 64-bit finaliser of MurmurHash3). One product alone sends regular
  /// ids, as k * 832040, to neighbouring slots, where probing takes quadratic time.
  static uint64_t mix(uint64_t key) {
    key = (key ^ (key >> 33)) * 0xff51afd7ed558ccdu;
    key = (key ^ (key >> 33)) * 0xc4ceb9fe1a85ec53u;
    return key ^ (key >> 33);
  }

  /// Ids chosen to share their slots would take quadratic time again, so nobody can know them beforehand. No result
  /// depends on it: ids are numbered by first appearance.
  uint64_t newSeed() const {
    const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
    return mix(static_cast<uint64_t>(now)) ^ mix(reinterpret_cast<uintptr_t>(slots_.data()));
  }

  uint32_t* probe(uint64_t key) {
    size_t at = mix(key ^ seed_) >> shift_;
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
  const uint64_t seed_ = newSeed();
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

DenseIds promptTurnIds(const DenseIds& prompts, const std::vector<int32_t>& trajectory, View<const int32_t> index) {
  return denseIds(trajectory.size(), [&](size_t k) {
    return static_cast<uint64_t>(prompts.ids[trajectory[k]]) << 32 | static_cast<uint32_t>(index[k]);
  });
}

}  // namespace turnwise::cpu
