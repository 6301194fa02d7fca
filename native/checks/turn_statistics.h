// What can be said of turnStatistics' arguments from sizes, settings and addresses alone: for every backend, before any
// array is read, so that nothing is allocated for arguments that are refused.
#pragma once
#include "../backend.h"

namespace turnwise {

/// Every array that is read is there and has its size, every setting stands where it means something, and no result
/// lies over an input.
bool validArguments(const TurnStatistics& args);

/// Whether a channel of the batch satisfies `is`.
template <class Is>
TURNWISE_HD bool anyChannel(const TurnStatistics& args, const Is& is) {
  for (size_t c = 0; c < args.channels.size; ++c) {
    if (is(args.channels[c])) return true;
  }
  return false;
}

/// Whether loss tokens are looked at one by one.
TURNWISE_HD inline bool readsTokens(const TurnStatistics& args) {
  return args.resultLevel == Level::token ||
         anyChannel(args, [](const Channel& channel) { return channel.level == Level::token || channel.tokenSignal; });
}

/// Whether turns hang together as trees.
TURNWISE_HD inline bool readsTree(const TurnStatistics& args) {
  return anyChannel(args, [](const Channel& channel) {
    return channel.accumulate == Accumulate::tree || channel.then == Then::tree || channel.group == GroupBy::parent;
  });
}

}  // namespace turnwise
