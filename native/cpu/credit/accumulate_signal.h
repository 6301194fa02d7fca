// A channel's signal summed over the later entries of its trajectory before the statistics see it.
#pragma once
#include <vector>

#include "../../ops.h"
#include "layout.h"

namespace turnwise::cpu {

/// discounted: absent turns add 0 and stay absent, absent loss tokens become present (rewards are sparse there).
void discountSignal(const Layout& layout, const Channel& channel, std::vector<double>& values);
/// gae: every entry of a trajectory that is not excluded becomes present.
void estimateAdvantages(const TurnStatistics& args, const Layout& layout, const Channel& channel,
                        std::vector<double>& values);

}  // namespace turnwise::cpu
