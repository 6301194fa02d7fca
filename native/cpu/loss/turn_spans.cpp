#include "turn_spans.h"

#include "../valid_turns.h"

namespace turnwise::cpu {

TurnSpans::TurnSpans(const Turns& turns)
    : starts_(ownCopy(turns.starts)),
      ends_(ownCopy(turns.ends)),
      trajectory_(ownCopy(turns.trajectory)),
      tokens_(ownCopy(turns.tokens)) {}

bool TurnSpans::valid(size_t tokenCount) const {
  return validTrajectories(trajectory_) && validSpans(starts_, ends_, tokens_, tokenCount);
}

std::vector<size_t> TurnSpans::unitBounds(Level level) const {
  std::vector<size_t> bounds;
  bounds.reserve(count() + 1);
  for (size_t k = 0; k < count(); ++k) {
    const bool continues = level == Level::sequence && k > 0 && trajectory_[k] == trajectory_[k - 1];
    if (!continues) bounds.push_back(k);
  }
  bounds.push_back(count());
  return bounds;
}

}  // namespace turnwise::cpu
