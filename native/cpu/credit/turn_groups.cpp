// Dense ids by direct addressing where the keys allow it, else by an open-addressing hash table: a sorted map costs a
// log factor and a cache miss a level, and a million turns must pass in milliseconds.
#include "turn_groups.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "turn_tree.h"

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

/// The range of some keys, so that key - smallest < width.
struct KeyRange {
  int64_t smallest = 0;
  uint64_t width = 1;
};

KeyRange rangeOf(const View<const int32_t>& keys) {
  if (keys.size == 0) return {};
  int32_t smallest = keys[0], largest = keys[0];
  for (size_t i = 0; i < keys.size; ++i) {
    const int32_t key = keys[i];
    smallest = std::min(smallest, key);
    largest = std::max(largest, key);
  }
  return {smallest, static_cast<uint64_t>(int64_t{largest} - smallest) + 1};
}

}  // namespace

DenseIds pairIds(DenseIds ids, const View<const int32_t>& keys) {
  const KeyRange range = rangeOf(keys);
  const uint64_t limit = std::min<uint64_t>(2 * uint64_t{keys.size} + 1, std::numeric_limits<uint32_t>::max());
  if (range.width <= limit / std::max<uint32_t>(ids.count, 1)) {
    for (size_t i = 0; i < keys.size; ++i) {
      // The caller's array may have changed since its range was taken; an id beyond `count` would be written through.
      const uint64_t key = std::min(static_cast<uint64_t>(keys[i] - range.smallest), range.width - 1);
      ids.ids[i] = static_cast<uint32_t>(ids.ids[i] * range.width + key);
    }
    ids.count = static_cast<uint32_t>(ids.count * range.width);
    return ids;
  }
  IdTable table;
  for (size_t i = 0; i < keys.size; ++i) {
    ids.ids[i] = table.idOf(static_cast<uint64_t>(ids.ids[i]) << 32 | static_cast<uint32_t>(keys[i]));
  }
  ids.count = table.count();
  return ids;
}

const DenseIds& GroupKeys::prompts() {
  if (prompts_.ids.empty()) prompts_ = pairIds({std::vector<uint32_t>(args_.groups.size), 1}, args_.groups);
  return prompts_;
}

DenseIds GroupKeys::turnPrompts() {
  DenseIds ofTurns;
  ofTurns.count = prompts().count;
  layout_.spread(Level::sequence, prompts_.ids, Level::turn, 0u, ofTurns.ids);
  return ofTurns;
}

const DenseIds& GroupKeys::of(const Channel& channel, Level level) {
  if (channel.group == GroupBy::batch) {
    own_.ids.assign(layout_.size(level), 0);
    own_.count = 1;
    return own_;
  }
  if (level == Level::sequence) {
    if (channel.group != GroupBy::promptKey) return prompts();  // an outcome has no turn: by prompt alone
    own_ = pairIds(prompts(), channel.keys);
    return own_;
  }
  const DenseIds& turns = ofTurns(channel);
  if (level == Level::turn) return turns;
  std::vector<uint32_t> ofTokens;
  layout_.spread(Level::turn, turns.ids, Level::token, 0u, ofTokens);
  own_.count = turns.count;
  own_.ids.swap(ofTokens);
  return own_;
}

const DenseIds& GroupKeys::ofTurns(const Channel& channel) {
  switch (channel.group) {
    case GroupBy::promptTurn:
      if (promptTurns_.ids.empty()) promptTurns_ = pairIds(turnPrompts(), args_.turns.index);
      return promptTurns_;
    case GroupBy::promptKey:
      own_ = pairIds(turnPrompts(), channel.keys);
      return own_;
    case GroupBy::parent:
      own_ = tree_.parentIds();
      return own_;
    case GroupBy::batch:
    case GroupBy::prompt:
      break;
  }
  own_ = turnPrompts();
  return own_;
}

}  // namespace turnwise::cpu
