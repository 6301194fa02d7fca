// What a channel's z becomes in the result: sums over later entries, cap and gate, its weighted share of the advantages
// (or ratio targets), and what shows of it.
//
// Results are kept per entry of the result level: in the caller's arrays where these are the turns, else in own ones
// without the gaps between loss tokens, written out at the end.
#pragma once
#include <vector>

#include "../../ops.h"
#include "layout.h"
#include "turn_groups.h"

namespace turnwise::cpu {

/// The values of a channel at work: entries of `level`, NaN = absent.
struct Entries {
  Level level = Level::turn;
  std::vector<double> values;
};

/// Replaces z by its sums over later entries, as channel.then says (not for tree). Absent ones receive what follows.
void sumLater(const Layout& layout, const Channel& channel, Entries& entries);

class ChannelCombiner {
 public:
  ChannelCombiner(const TurnStatistics& args, const Layout& layout, GroupKeys& keys);

  /// Shows z as normalizedSignal and clip scale: before sums over later turns blur it.
  void expose(const Entries& z);
  /// Times the cap by what was added so far, then times the gate of the prompt.
  void capAndGate(const Channel& channel, Entries& entries);
  void add(const Channel& channel, const Entries& entries);
  /// The joined sequence's sums, or the division by the weights in force.
  void finish();

  /// One per entry of the result level.
  double* advantages() { return advantages_; }
  /// Into the caller's arrays.
  void write();

 private:
  bool perToken() const { return args_.resultLevel == Level::token; }
  const double* atResultLevel(const Entries& entries);
  std::vector<double> gates(double temperature);
  /// value(run, e) of every result entry, times its weight.
  template <class Value>
  void addValues(const Channel& channel, const Value& value);
  void addJoined(const Channel& channel, const Entries& entries);

  const TurnStatistics& args_;
  const Layout& layout_;
  GroupKeys& keys_;
  double* advantages_ = nullptr;
  double* ratioTargets_ = nullptr;                  // or null
  std::vector<double> ownAdvantages_, ownTargets_;  // result level token
  std::vector<double> weights_;                     // combine weighted-mean: of the channels that say something
  std::vector<double> spread_;                      // a coarser channel's values on every result entry
};

}  // namespace turnwise::cpu
