// The signal of a channel at its level: what was given at any level, placed or summed, with the
// penalty for leaving the reference policy.
#pragma once
#include <vector>

#include "../../ops.h"
#include "layout.h"

namespace turnwise::cpu {

/// Into `values`, one per entry; NaN = no signal, so in excluded trajectories.
void readSignal(const TurnStatistics& args, const Layout& layout, const Channel& channel, std::vector<double>& values);

/// Brings the signal to the standard deviation of the outcomes, both over the batch: A2TGPO turn-group (arXiv
/// 2605.06200).
void matchOutcomeStd(const Layout& layout, const Channel& channel, std::vector<double>& values);

}  // namespace turnwise::cpu
