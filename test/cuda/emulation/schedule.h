// Which of several things that may happen next does: TURNWISE_EMULATION_SCHEDULE = ascending | descending |
// random:<seed>.
//
// A thread runs until it has to wait. Ascending lets the lowest thread that can go on run as far ahead as it can,
// descending the highest: what a missing barrier allows, one of the two does. Random picks anew at every step.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "fibers.h"

namespace turnwise::emulation {

class Schedule {
 public:
  enum class Order { ascending, descending, random };

  /// Reads the environment again, so that one process can try several. The same random seed goes on where it was.
  void refresh() {
    const char* setting = std::getenv("TURNWISE_EMULATION_SCHEDULE");
    if (setting == nullptr || *setting == '\0') setting = "ascending";
    if (setting_ == setting) return;
    setting_ = setting;
    if (setting_ == "ascending") {
      order_ = Order::ascending;
    } else if (setting_ == "descending") {
      order_ = Order::descending;
    } else if (setting_.rfind("random:", 0) == 0) {
      order_ = Order::random;
      state_ = std::strtoull(setting + std::strlen("random:"), nullptr, 10);
    } else {
      fail("TURNWISE_EMULATION_SCHEDULE is ascending, descending or random:<seed>, not '%s'", setting);
    }
  }

  Order order() const { return order_; }

  /// Of `count` choices, the first, the last or any.
  size_t pick(size_t count) {
    if (order_ == Order::ascending) return 0;
    return order_ == Order::descending ? count - 1 : random() % count;
  }

  /// 0 ... count - 1 in the order in which to take them.
  std::vector<size_t> arrange(size_t count) {
    std::vector<size_t> result(count);
    for (size_t i = 0; i < count; ++i) result[i] = order_ == Order::descending ? count - 1 - i : i;
    if (order_ != Order::random) return result;
    for (size_t i = count; i > 1; --i) std::swap(result[i - 1], result[random() % i]);
    return result;
  }

  /// splitmix64
  uint64_t random() {
    uint64_t x = state_ += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
  }

 private:
  std::string setting_ = "ascending";
  Order order_ = Order::ascending;
  uint64_t state_ = 0;
};

inline Schedule& schedule = *new Schedule;

/// The threads that can go on, as bits under bits.
class ReadySet {
 public:
  void clear(size_t capacity) {
    capacity_ = capacity;
    std::memset(words_, 0, sizeof words_);
    std::memset(nonZero_, 0, sizeof nonZero_);
  }

  void add(size_t index) {
    words_[index / 64] |= uint64_t{1} << index % 64;
    nonZero_[index / 4096] |= uint64_t{1} << index / 64 % 64;
  }

  /// Removes and returns the next, or -1.
  long take() {
    const Schedule::Order order = schedule.order();
    long index = -1;
    if (order == Schedule::Order::random) index = firstFrom(schedule.random() % capacity_);
    if (index < 0) index = order == Schedule::Order::descending ? last() : firstFrom(0);
    if (index < 0) return index;
    uint64_t& word = words_[index / 64];
    word &= ~(uint64_t{1} << index % 64);
    if (word == 0) nonZero_[index / 4096] &= ~(uint64_t{1} << index / 64 % 64);
    return index;
  }

 private:
  static constexpr size_t kWords = kMaxFibers / 64;

  long firstFrom(size_t start) const {
    const uint64_t rest = words_[start / 64] & ~uint64_t{0} << start % 64;
    if (rest != 0) return static_cast<long>(start / 64 * 64) + __builtin_ctzll(rest);
    for (size_t word = start / 64 + 1; word < kWords; word = (word / 64 + 1) * 64) {
      const uint64_t words = nonZero_[word / 64] & ~uint64_t{0} << word % 64;
      if (words == 0) continue;
      const size_t found = word / 64 * 64 + __builtin_ctzll(words);
      return static_cast<long>(found * 64) + __builtin_ctzll(words_[found]);
    }
    return -1;
  }

  long last() const {
    for (size_t group = kWords / 64; group-- > 0;) {
      if (nonZero_[group] == 0) continue;
      const size_t found = group * 64 + 63 - __builtin_clzll(nonZero_[group]);
      return static_cast<long>(found * 64) + 63 - __builtin_clzll(words_[found]);
    }
    return -1;
  }

  size_t capacity_ = 0;
  uint64_t words_[kWords] = {};
  uint64_t nonZero_[kWords / 64] = {};
};

}  // namespace turnwise::emulation
